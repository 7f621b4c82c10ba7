"""Groups of pictures that show nearly the same; dividing a split keeps them on one side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.datasets import CsvDataModule
from pocketvision.datasets.images import likeness
from pocketvision.datasets.images.likeness import like_groups


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """40 pictures; 0 to 9 have a copy of other quality, 10 to 19."""
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    generator, paths = np.random.default_rng(0), [tmp_path / f"{i:02}.jpg" for i in range(40)]
    for i, path in enumerate(paths):
        if 10 <= i < 20:
            Image.open(paths[i - 10]).save(path, quality=40)
        else:
            small = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((80, 60), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def test_groups_are_found_once(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [i - 10 if 10 <= i < 20 else i for i in range(40)]
    paths = [str(path) for path in pictures]
    assert like_groups(paths).tolist() == expected
    monkeypatch.setattr(likeness, "_thumbnail", None)
    assert like_groups(paths).tolist() == expected, "kept in the cache"
    with pytest.raises(TypeError):
        like_groups(paths[:-1])
    monkeypatch.setattr(likeness, "MAX_GROUPED", 10)
    assert like_groups(paths[:-1]).tolist() == list(range(39))


def test_what_is_no_picture_is_alone(pictures: list[Path]) -> None:
    pictures[3].write_text("no picture")
    groups = like_groups([str(path) for path in pictures])
    assert groups[3] == 3 and groups[13] == 13 and groups[14] == 4
    assert like_groups(["shapes/1", "shapes/2"]).tolist() == [0, 1] and not len(like_groups([]))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_both_are_on_one_side(pictures: list[Path], tmp_path: Path, seed: int) -> None:
    rows = "".join(f"{path.name},1,1,9,9,cat\n" for path in pictures)
    (tmp_path / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    data = CsvDataModule(tmp_path, divide="all", split_seed=seed, num_workers=0)
    sides = [{Path(path).stem for path in data.own_records(split).image_paths} for split in ("train", "val")]
    assert len(sides[0]) + len(sides[1]) == 40 and all(sides)
    for i in range(10):
        assert any({f"{i:02}", f"{i + 10:02}"} <= side for side in sides)


def test_a_film_of_one_scene_is_divided_all_the_same(
    pictures: list[Path], tmp_path: Path, write_image: Callable[..., None]
) -> None:
    for path in pictures[1:]:
        shutil.copy(pictures[0], path)
    rows = "".join(f"{path.name},1,1,9,9,cat\n" for path in pictures)
    (tmp_path / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    data = CsvDataModule(tmp_path, divide="all", num_workers=0)
    assert len(data.own_records("train")) > 20 and len(data.own_records("val"))
