"""The tiles of a split: their records, their order in an epoch, and data modules that show them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize, Tiling
from pocketvision.datasets import CocoDataModule, DetectionAugmentation, ImageFolderDataModule, sampling
from pocketvision.datasets.tiles import decoded, table
from pocketvision.datasets.tiles.table import TileTable

Large = Callable[..., Path]
BOXES = [(10, 10, 30, 26), (90, 40, 110, 56), (300, 120, 316, 140), (95, 90, 103, 98)]


def module(root: Path, **options: Any) -> CocoDataModule:
    data = CocoDataModule(root, **{"batch_size": 2, "num_workers": 0, "tile_size": 100, **options})
    data.connect(data.class_names(), Resize((100, 100)))
    return data


def test_tiles_are_records(large: Large) -> None:
    data = module(large(((160, 360), BOXES), ((90, 80), [(5, 5, 25, 25)])))
    tiled = data.tiled("train")
    assert tiled is not None and data.tiled("train") is tiled, "cut once"
    tiles = tiled.table
    wide = Tiling((100, 100)).windows((160, 360))
    assert [tiles.window(i) for i in range(len(tiles))] == [*wide, (0, 0, 90, 80)]
    assert tiles.pictures.tolist() == [0] * len(wide) + [1]
    assert [tiles.place(i).is_last for i in range(len(tiles))] == [False] * (len(wide) - 1) + [True, True]
    assert tiles.place(0).picture_size == (160, 360) and tiles.place(len(wide)).picture_size == (90, 80)
    records = data.dataset("train", train=True).records
    assert len(records) == len(wide) + 1 and len(data.records("train")) == 2
    whole = np.asarray(data.records("train").boxes)
    learned = np.zeros(len(whole), bool)
    for index, window in enumerate(tiles.windows.tolist()):
        owned = records.boxes_of(index)
        top, left = window[:2]
        for box, crowd in zip(records.boxes[owned], records.crowd[owned], strict=True):
            moved = box + np.array([left, top, left, top])
            own = np.flatnonzero(tiles.pictures[index] == np.array([0, 0, 0, 0, 1]))
            inside = own[(whole[own, :2] <= moved[:2]).all(1) & (whole[own, 2:] >= moved[2:]).all(1)]
            assert len(inside) == 1, "a part of one box"
            share = (moved[2:] - moved[:2]).prod() / (whole[inside[0], 2:] - whole[inside[0], :2]).prod()
            assert crowd == (share < 0.5)
            learned[inside[0]] |= not crowd
    assert learned.all()


def test_a_split_without_pictures() -> None:
    assert len(TileTable.of(np.zeros((0, 2), np.int32), Tiling((100, 100)))) == 0


def sizes(count: int) -> np.ndarray:
    return np.array([(300, 400)] * count)


def test_an_epoch_goes_through_groups_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_BYTES", 2 * 4 * 300 * 400 * 3)
    tiles = TileTable.of(sizes(10), Tiling((100, 100)))
    first, second = (tiles.groups(0, epoch) for epoch in (0, 1))
    for groups in (first, second):
        of_picture = [set(groups[tiles.pictures == picture].tolist()) for picture in range(10)]
        assert all(len(own) == 1 for own in of_picture)
        assert sorted(np.bincount([own.pop() for own in of_picture]).tolist()) == [2, 4, 4]
    assert (first != second).any() and (first == tiles.groups(0, 0)).all()


def order(rank: int, processes: int, monkeypatch: pytest.MonkeyPatch, data: CocoDataModule) -> list[Any]:
    monkeypatch.setattr(sampling, "num_processes", lambda: processes)
    monkeypatch.setattr(sampling, "process_index", lambda: rank)
    loader = data.train_dataloader()
    return [list(loader.sampler) for _ in range(2)]  # type: ignore[call-overload]


def test_every_tile_with_an_object_and_few_without(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_BYTES", 2 * 160 * 360 * 3)  # a picture a group
    root = large(*[((160, 360), BOXES)] * 3)
    data = module(root, empty_tiles=0.25)
    dataset = data.dataset("train", train=True)
    trained = np.add.reduceat(
        ~dataset.records.crowd, dataset.records.offsets[:-1].clip(max=len(dataset.records.crowd) - 1)
    )
    is_full = (trained > 0) & (np.diff(dataset.records.offsets) > 0)
    alone = order(0, 1, monkeypatch, module(root, empty_tiles=0.25))
    for epoch in alone:
        drawn = np.array([index for _, index in epoch])
        assert set(np.flatnonzero(is_full)) <= set(drawn.tolist()), "an epoch visits every object"
        share = 1 - is_full[drawn].mean()
        assert share == pytest.approx(0.25, abs=0.05)
        pictures = dataset.tiles.pictures[drawn]  # type: ignore[union-attr]
        assert (np.diff(pictures) != 0).sum() == 2, "one picture after the other"
    assert alone[0] != alone[1]
    shares = [order(rank, 2, monkeypatch, module(root, empty_tiles=0.25)) for rank in range(2)]
    for epoch in range(2):
        together = sorted({sample for share in shares for sample in share[epoch]})
        assert together == sorted(set(alone[epoch]))
    assert not any(not is_full[i] for _, i in order(0, 1, monkeypatch, module(root, empty_tiles=0))[0])


@pytest.mark.parametrize("processes", [1, 2])
def test_an_epoch_goes_on_where_it_was_left(
    processes: int, large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = large(*[((160, 360), BOXES)] * 3)
    monkeypatch.setattr(sampling, "num_processes", lambda: processes)
    monkeypatch.setattr(sampling, "process_index", lambda: processes - 1)
    augmentation = DetectionAugmentation(mosaic=0.5)

    def batches(start: tuple[int, int] | None) -> list[Any]:
        data = module(root, augmentation=augmentation)
        if start is not None:
            data.start_at(*start)
        loader = data.train_dataloader()
        return [(b.images, b.targets) for _ in range(2 if start is None else 1) for b in loader]

    whole = batches(None)
    length = len(whole) // 2
    rest = batches((1, 2 * 3))
    assert len(rest) == length - 3
    for (images, targets), (again, others) in zip(rest, whole[length + 3 :], strict=True):
        assert bool((images == again).all())
        for one, other in zip(targets, others, strict=True):
            assert one.image_id == other.image_id and bool((one.boxes == other.boxes).all())


def test_a_picture_is_decoded_once_an_epoch(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = decoded.DecodedPictures.load

    def counted(self: Any, name: str, decode: Any) -> Any:
        return load(self, name, lambda: (read.append(name), decode())[1])

    monkeypatch.setattr(decoded.DecodedPictures, "load", counted)
    data = module(large(*[((160, 360), BOXES)] * 4), augmentation=DetectionAugmentation(mosaic=1.0))
    loader = data.train_dataloader()
    num_tiles = sum(len(batch.images) for batch in loader)
    assert num_tiles > 3 * 4 and len(read) == 4


def test_tiles_are_told_apart_from_what_cannot_have_them(large: Large, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"The tile is \(8, 8\): give its height and width"):
        CocoDataModule(tmp_path, tile_size=8)
    with pytest.raises(ValueError, match="overlap of tiles is 1"):
        CocoDataModule(tmp_path, tile_size=64, tile_overlap=1)
    with pytest.raises(ValueError, match=r"data\.empty_tiles is 1: give a share"):
        CocoDataModule(tmp_path, empty_tiles=1)
    (tmp_path / "train" / "a").mkdir(parents=True)
    root = large(((90, 80), [(5, 5, 25, 25)]))
    (tmp_path / "train" / "a" / "0.png").write_bytes((root / "train2017" / "0.png").read_bytes())
    images = ImageFolderDataModule(tmp_path, tile_size=64, num_workers=0)
    images.connect(["a"], Resize((32, 32), mode="crop"))
    with pytest.raises(ValueError, match=r"data\.tile_size is for boxes and masks"):
        images.dataset("train", train=True)


def test_a_picture_of_another_size_is_named(large: Large) -> None:
    root = large(((160, 360), BOXES))
    other = large(((150, 360), BOXES), name="other")
    (root / "train2017" / "0.png").write_bytes((other / "train2017" / "0.png").read_bytes())
    with pytest.raises(InputError, match=r"0\.png is 360x150 pixels, but its annotation says 360x160"):
        module(root).dataset("train", train=False)[0]
