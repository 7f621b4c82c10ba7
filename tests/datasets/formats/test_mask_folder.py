"""Covers datasets/masks/colors.py, datasets/masks/values.py.

Color tables, lists and wide masks; the plain layouts are in test_segmentation.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_mask, read_mask_folder
from pocketvision.datasets.formats.mask_folder import FORMAT
from pocketvision.datasets.records.kinds import MASK_UNREADABLE
from pocketvision.datasets.records.notes import Notes

Write = Callable[..., None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def colors(tmp_path: Path, write_image: Write, write_mask: Write) -> Path:
    """images + masks of a and b: red left, blue right."""
    root = tmp_path / "colors"
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30, 2], pixels[:, 30:, 0] = 200, 255  # cv2 writes blue, green, red
    for name in "ab":
        write_image(root / "images" / f"{name}.jpg")
        write_mask(root / "masks" / f"{name}.png", pixels)
    (root / "classes.txt").write_text("the sky 0 0 255\nroad 200 0 0\n")
    return root


def test_names_with_spaces_and_other_separators(colors: Path) -> None:
    for file, text in (
        ("classes.txt", "the sky 0 0 255\nroad 200 0 0\n"),
        ("classes.txt", "the sky,0,0,255\nroad, 200 ,0,0"),
        ("classes.csv", "name,r,g,b\nthe sky,0,0,255\nroad,200,0,0"),
        ("class_dict.csv", '"name","r","g","b"\n"the sky",0,0,255\nroad,200,0,0\n'),
    ):
        (colors / "classes.txt").unlink(missing_ok=True)
        (colors / file).write_text(text)
        records = read_mask_folder(colors, "all")
        assert records.class_names == ("the sky", "road")
        mask = read_mask(records.mask_paths[0])
        assert (mask[:, :30] == 1).all() and (mask[:, 30:] == 0).all()


def test_a_changed_mask_is_converted_again(colors: Path, write_mask: Write) -> None:
    first = read_mask_folder(colors, "all").mask_paths
    assert read_mask_folder(colors, "all").mask_paths == first
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[..., 2] = 200
    write_mask(colors / "masks" / "a.png", pixels)
    os.utime(colors / "masks" / "a.png", (1, 1))
    records = read_mask_folder(colors, "all")
    assert records.mask_paths[1] == first[1] and (read_mask(records.mask_paths[0]) == 1).all()


def test_unknown_colour(colors: Path, write_mask: Write) -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[..., 2], pixels[5, 7] = 200, (3, 2, 1)
    write_mask(colors / "masks" / "b.png", pixels)
    with pytest.raises(
        InputError, match=r"b\.png has the color \(1, 2, 3\) in 1 pixels, which .*classes\.txt"
    ):
        read_mask_folder(colors, "all")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sky 0 0 255\nsky 200 0 0", "one name a line, each once"),
        ("sky 0 0 255\nroad 0 0 255", "a color of its own"),
        ("sky 0 0 255\nroad", "a color of its own"),
        ("sky 0 0 256\nroad 1 1 1", "not between 0 and 255"),
        ("", "one name a line"),
    ],
)
def test_bad_table(colors: Path, text: str, words: str) -> None:
    (colors / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=rf"classes\.txt .*{words}"):
        read_mask_folder(colors, "all")


def test_colours_without_table(colors: Path, write_mask: Write) -> None:
    (colors / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(InputError, match=r"a\.png has colors: list them beside the names"):
        read_mask_folder(colors, "all")
    (colors / "classes.txt").write_text("sky 0 0 255\nroad 200 0 0\n")
    write_mask(colors / "masks" / "b.png", np.zeros((40, 60), dtype=np.uint8))
    with pytest.raises(InputError, match=r"b\.png has the color"):
        read_mask_folder(colors, "all")


def test_wide_masks(colors: Path, write_mask: Write) -> None:
    (colors / "classes.txt").write_text("a\nb\nc\n")
    for name, value in (("a", 2), ("b", 255)):
        write_mask(colors / "masks" / f"{name}.png", np.full((40, 60), value, dtype=np.uint16))
    records = read_mask_folder(colors, "all")
    assert [int(read_mask(path).max()) for path in records.mask_paths] == [2, 255]
    write_mask(colors / "masks" / "b.png", np.full((40, 60), 300, dtype=np.uint16))
    with pytest.raises(InputError, match=r"b\.png has the value 300: class ids must lie"):
        read_mask_folder(colors, "all")


def test_lists(colors: Path) -> None:
    (colors / "train.txt").write_text("b\nb.jpg\n")
    (colors / "val.txt").write_text("images/a.jpg\nc\n")
    assert [Path(path).name for path in read_mask_folder(colors, "train").image_paths] == ["b.jpg"]
    with pytest.raises(InputError, match=r"val\.txt, image 2: there is no image 'c'"):
        read_mask_folder(colors, "val")
    with pytest.raises(InputError, match="no split 'all': it has train, val"):
        read_mask_folder(colors, "all")


def test_a_link_to_nothing_is_a_sentence(colors: Path) -> None:
    (colors / "masks" / "b.png").unlink()
    (colors / "masks" / "b.png").symlink_to(colors / "nowhere.png")
    with pytest.raises(InputError, match=r"b\.png cannot be opened \(there is no such file"):
        read_mask_folder(colors, "all")
    notes = Notes(strict=False)
    records = FORMAT.read_layout(FORMAT.open(colors), "all", notes)
    assert [Path(path).stem for path in records.image_paths] == ["a"] and MASK_UNREADABLE in notes.counts
