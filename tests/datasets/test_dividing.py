"""Clips are divided by no split; every image is in one part; shares are near those asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import ClassificationRecords, CsvDataModule, detect_format
from pocketvision.datasets.dividing import divide_by
from pocketvision.datasets.records.splits import divide


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))


def records(paths: list[str]) -> ClassificationRecords:
    root = str(Path(paths[0]).parent)
    return ClassificationRecords(root, paths, np.arange(len(paths)), np.zeros(len(paths), int), ("a",))


def grouped(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Images of a few clips of any length and some single ones, in any order."""
    lengths = [*rng.integers(1, 60, rng.integers(2, 25)), *[1] * int(rng.integers(0, 200))]
    paths = [f"/data/clip{k}/{i:04}.jpg" for k, n in enumerate(lengths) for i in range(n)]
    owners = np.repeat(np.arange(len(lengths)), lengths)
    order = rng.permutation(len(paths))
    first: dict[int, int] = {}
    groups = [first.setdefault(owners[i], place) for place, i in enumerate(order)]
    return [paths[i] for i in order], np.array(groups)


@pytest.mark.parametrize("seed", range(40))
def test_no_group_is_divided_and_shares_are_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths, groups = grouped(rng)
    fraction = float(rng.choice([0.1, 0.2, 0.35, 0.5]))
    parts = divide(records(paths), fraction, seed, groups, near=True)
    train, val = (set(part.image_paths) for part in parts)
    assert train and val and not train & val and train | val == set(paths)
    assert len(parts[0]) + len(parts[1]) == len(paths)
    is_val = np.array([path in val for path in paths])
    for group in np.unique(groups):
        assert len(set(is_val[groups == group].tolist())) == 1
    sizes = np.bincount(groups, minlength=len(paths))
    # Half of a large group; the small ones are drawn, three standard deviations.
    small = sizes[(sizes > 0) & (sizes <= max(1, len(paths) // 100))]
    drawn = 3 * np.sqrt(fraction * (1 - fraction) * (small**2).sum())
    assert abs(len(val) - fraction * len(paths)) <= sizes.max() / 2 + drawn + 1
    again = rng.permutation(len(paths))
    first: dict[int, int] = {}
    moved = np.array([first.setdefault(groups[i], place) for place, i in enumerate(again)])
    other = divide(records([paths[i] for i in again]), fraction, seed, moved, near=True)
    assert set(other[1].image_paths) == val, "in whichever order, whichever run"


def test_where_no_clip_fits_the_smallest_is_for_validation() -> None:
    paths = [f"/d/{name}/{i}.jpg" for name, n in (("a", 50), ("b", 30), ("c", 40)) for i in range(n)]
    for seed in range(6):
        _, val = divide_by(records(paths), "folder", 0.05, seed)
        assert {Path(path).parent.name for path in val.image_paths} == {"b"}


def test_folders_with_equal_names_are_drawn_apart_and_may_move() -> None:
    names = [f"{k:02}/{i:03}.jpg" for k in range(50) for i in range(10)]
    sides = []
    for root in ("/data", "/other/place"):
        train, val = divide_by(records([f"{root}/{name}" for name in names]), "folder")
        sides.append([str(Path(path).relative_to(root)) for path in val.image_paths])
        assert len(val) == 100 and len(train) == 400
    assert sides[0] == sides[1]
    one, other = (divide_by(records([f"/d/{n}" for n in names]), "folder", 0.2, s)[1] for s in (0, 1))
    assert one.image_paths != other.image_paths


@pytest.mark.parametrize(
    ("how", "said"), [("folder", "in one folder"), ("prefix", "of one folder and prefix")]
)
def test_one_group_can_not_be_divided(how: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"{said}: divide them by clip or likeness instead"):
        divide_by(records([f"/d/{i}.jpg" for i in range(9)]), how)
    with pytest.raises(InputError, match="There is no grouping 'clips': choose clip, folder"):
        divide_by(records(["/d/1.jpg", "/d/2.jpg"]), "clips")  # type: ignore[arg-type]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """CSV boxes on six clips of eight frames, in which a picture moves, with a cut, and on 30 photos."""
    rng, names = np.random.default_rng(1), []

    def scene() -> np.ndarray:
        return cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (160, 120), interpolation=2)

    for clip in range(6):
        for frame in range(8):
            if frame in (0, 5):
                picture = scene()
            names.append(f"walk{clip}_{frame:03}.png")
            cv2.imwrite(str(tmp_path / names[-1]), np.roll(picture, frame // 2, axis=1))
    for i in range(30):
        names.append(f"photo-{i}.png")
        cv2.imwrite(str(tmp_path / names[-1]), scene())
    rows = "".join(f"{name},1,1,9,9,cat\n" for name in names)
    (tmp_path / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    return tmp_path


def clips_of(data: CsvDataModule) -> list[set[str]]:
    parts = (data.own_records(split).image_paths for split in ("train", "val"))
    return [{Path(path).name.split("_")[0] for path in part if "walk" in path} for part in parts]


@pytest.mark.parametrize("seed", range(4))
def test_a_clip_with_a_cut_stays_together(films: Path, seed: int) -> None:
    found = detect_format(films)
    assert found.arguments["divide"] == "all" and found.arguments["divide_by"] == "clip"
    data = CsvDataModule(**found.arguments, split_seed=seed, num_workers=0)
    train, val = clips_of(data)
    assert train and not train & val and len(train | val) == 6
    assert len(data.own_records("train")) + len(data.own_records("val")) == 78
    assert abs(len(data.own_records("val")) - 0.2 * 78) <= 4 + 7
    divided = [
        clips_of(CsvDataModule(films, divide="all", divide_by=how, split_seed=seed, num_workers=0))
        for how in ("prefix", "likeness")
    ]
    assert not divided[0][0] & divided[0][1]


def test_likeness_alone_cuts_where_the_film_is_cut(films: Path) -> None:
    cut = [
        clips_of(CsvDataModule(films, divide="all", divide_by="likeness", split_seed=seed, num_workers=0))
        for seed in range(4)
    ]
    assert any(train & val for train, val in cut)


def test_groupings_of_data_modules_are_read_apart(films: Path, write_image: Callable[..., None]) -> None:
    first = CsvDataModule(films, divide="all", num_workers=0)
    first.own_records("val")
    other = CsvDataModule(films, divide="all", divide_by="prefix", num_workers=0)
    other.reuse(first)
    assert not other._read
