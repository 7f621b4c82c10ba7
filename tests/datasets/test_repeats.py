"""Rare classes: what a class's frequency is, how often an image is drawn, in one process or two."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import (
    ClassificationRecords,
    CocoDataModule,
    EpochSampler,
    MaskFolderDataModule,
    read_coco,
    read_mask_folder,
    repeats,
    sampling,
)
from pocketvision.datasets.repeats import class_presence, repeat_factors
from pocketvision.datasets.sampling import drawn, num_drawn

Coco = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))


def test_factors_are_those_of_the_paper() -> None:
    presence = np.zeros((100, 4), dtype=bool)  # class 3 is in no image
    presence[:, 0], presence[:4, 1], presence[3:12, 2] = True, True, True
    found = repeat_factors(presence, 0.16)
    assert found[:4] == pytest.approx([2.0] * 4), "the largest of an image's classes: sqrt(0.16 / 0.04)"
    assert found[4:12] == pytest.approx([4 / 3] * 8) and (found[12:] == 1).all()
    assert (repeat_factors(presence, 0.04) == 1).all()
    assert repeat_factors(np.zeros((3, 0), dtype=bool), 0.5).tolist() == [1, 1, 1]


def test_frequency_is_the_share_of_images(coco: Coco, masks: Path) -> None:
    def twice(content: dict[str, Any]) -> None:
        content["annotations"].append({**content["annotations"][0], "id": 9, "bbox": [1, 1, 9, 9]})

    boxes = class_presence(read_coco(coco(twice), "train"))  # images 30, 10, 20, 40: dog, cat, owl
    assert boxes.tolist() == [[False] * 3, [False, True, True], [True, False, False], [False] * 3], (
        "no crowds"
    )
    assert class_presence(read_mask_folder(masks, "train", ignore_ids=[9])).tolist() == np.eye(3).tolist()
    labels = ClassificationRecords("", ["a", "b"], np.arange(2), np.array([2, 0]), ("x", "y", "z"))
    assert class_presence(labels).tolist() == [[False, False, True], [True, False, False]]


def test_masks_are_read_once_and_classes_are_the_models(
    masks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records = read_mask_folder(masks, "train", ignore_ids=[9])
    first = class_presence(records)
    with monkeypatch.context() as context:
        context.setattr(repeats, "_values_of", None)
        assert (class_presence(records) == first).all()
        swapped = class_presence(records.select(["car", "sky"]))
        assert swapped.tolist() == [[False, True], [False, False], [True, False]]
    for file in (tmp_path / "cache" / "mask_values").iterdir():
        file.write_bytes(b"damaged")
    assert (class_presence(records) == first).all()
    Path(records.mask_paths[1]).unlink()
    with pytest.raises(InputError, match=r"1\.png"):
        class_presence(records)
    empty = replace(records, image_paths=[], mask_paths=[], image_ids=np.arange(0))
    assert class_presence(empty).shape == (0, 3)


@pytest.mark.parametrize("factors", [[1.0] * 5, [2.0, 3.0], [1.3], [1.25, 1.0, 2.5, 7.9, 1.0, 1.4]])
def test_every_epoch_has_whole_parts_and_the_mean_is_the_factor(factors: list[float]) -> None:
    wanted, epochs = np.array(factors), 4000
    counts = np.zeros((epochs, len(factors)))
    for epoch in range(epochs):
        samples = drawn(wanted, 3, epoch)
        assert len(samples) == num_drawn(wanted) == int(np.ceil(wanted.sum()))
        assert len(set(samples)) == len(samples), "each time has its own randomness"
        for i, count in Counter(sample[0] for sample in samples).items():
            counts[epoch, i] = count
    assert (counts >= np.floor(wanted)).all()
    filled = num_drawn(wanted) - wanted.sum()  # a place at random
    assert (counts.sum(axis=0) / epochs <= wanted + filled + 0.03).all()
    assert (counts.sum(axis=0) / epochs >= wanted - 0.03).all()


def order_of(rank: int, epochs: int, monkeypatch: pytest.MonkeyPatch, num: int = 2) -> list[list[Any]]:
    monkeypatch.setattr(sampling, "num_processes", lambda: num)
    monkeypatch.setattr(sampling, "process_index", lambda: rank)
    sampler = EpochSampler(range(6), 1, np.array([1.25, 1.0, 2.5, 7.9, 1.0, 1.4]))  # type: ignore[arg-type]
    return [list(sampler) for _ in range(epochs)]


def test_two_processes_share_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = order_of(0, 3, monkeypatch, 1)
    shares = [order_of(rank, 3, monkeypatch) for rank in range(2)]
    for epoch in range(3):
        joint = [sample for pair in zip(shares[0][epoch], shares[1][epoch], strict=True) for sample in pair]
        assert joint == [*alone[epoch], *alone[epoch][: len(joint) - len(alone[epoch])]]
        assert all(sample[0] == epoch for sample in joint)
    assert sorted(alone[0]) != sorted(alone[1]), "the rest is drawn anew"


def rare(root: Path, **options: Any) -> CocoDataModule:
    data = CocoDataModule(
        root, batch_size=2, num_workers=0, repeat_threshold=options.pop("repeat_threshold", 1.0), **options
    )
    data.connect(data.class_names(), Resize((64, 64)))
    return data


def test_an_epoch_is_longer_and_goes_on_within(coco: Coco, caplog: pytest.LogCaptureFixture) -> None:
    root = coco()
    with caplog.at_level(logging.INFO, logger="pocketvision"):
        loader = rare(root).train_dataloader()
    assert "an epoch draws 6 samples of 4 images, one of them up to 2.0 times" in caplog.text
    assert len(loader) == 3
    whole = [(b.images, [t.image_id for t in b.targets]) for _ in range(3) for b in loader]
    later = rare(root)
    later.start_at(1, 4)
    images, ids = whole[5]
    (batch,) = later.train_dataloader()
    assert [t.image_id for t in batch.targets] == ids and bool((batch.images == images).all())
    ids_of_first = [i for _, ids in whole[:3] for i in ids]
    assert Counter(ids_of_first)[10] == 2 and Counter(ids_of_first)[20] == 2
    pictures = {float(image.float().sum()) for images, ids in whole[:3] for image in images}
    assert len(pictures) == 6, "an image that is drawn twice is augmented in two ways"


def test_frequencies_are_those_of_the_models_classes(coco: Coco) -> None:
    data = CocoDataModule(coco(), batch_size=1, num_workers=0, repeat_threshold=0.5)
    data.connect(["dog"], Resize((64, 64)))
    assert len(data.train_dataloader()) == int(np.ceil(3 + 2**0.5))


def test_masks_repeat(masks: Path) -> None:
    data = MaskFolderDataModule(masks, ignore_ids=[9], batch_size=1, num_workers=0, repeat_threshold=1.0)
    data.connect(data.class_names(), Resize((64, 64)))
    assert len(data.train_dataloader()) == int(np.ceil(3 * 3**0.5))


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5, "0.1"])
def test_no_share(threshold: Any, coco: Coco) -> None:
    with pytest.raises(ValueError, match=r"data\.repeat_threshold is .*: give the share of images"):
        CocoDataModule(coco(), repeat_threshold=threshold)


def test_other_options_do_not_change_what_is_read(coco: Coco) -> None:
    root = coco()
    first, second = rare(root), rare(root, repeat_threshold=None)
    second.reuse(first)
    assert second.own_records("train") is first.own_records("train")
    assert all(len(sample) == 2 for sample in second.train_dataloader().sampler)
