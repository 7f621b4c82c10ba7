"""Nearly equal pictures are found, others are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pocketvision.datasets import detect_format
from pocketvision.datasets.images.likeness import difference_hash, near_pairs, shrink
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.checks.near_duplicates import split_pairs


def test_changed_copies_are_found_and_strangers_are_not(picture: Callable[[int], np.ndarray]) -> None:
    originals = [Image.fromarray(picture(i)) for i in range(60)]
    first = np.stack([shrink(image) for image in originals])

    def jpeg(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=30)
        return Image.open(stream)

    copies = [
        jpeg(originals[3]),
        originals[7].resize((200, 150)),
        ImageEnhance.Brightness(originals[11]).enhance(1.03),
        Image.fromarray(picture(100)),
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)),
    ]
    second = np.stack([shrink(image) for image in copies])
    assert list(near_pairs(first, second)) == [(3, 0), (7, 1), (11, 2)]
    black = np.zeros((3, 16, 18), np.uint8)
    assert not list(near_pairs(black, black)), "flat pictures say nothing"
    assert not list(near_pairs(first[:0], second))


def test_hashes_are_the_signs_of_differences() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 256, (5, 16, 18), dtype=np.uint8)
    hashes = difference_hash(thumbnails)
    for n, row, column in ((0, 0, 0), (3, 7, 7), (4, 2, 5)):
        cells = [thumbnails[n, 2 * row : 2 * row + 2, 2 * c : 2 * c + 2].mean() for c in (column, column + 1)]
        assert hashes[n, row * 8 + column] == (1 if cells[1] > cells[0] else -1)


def test_a_list_that_holds_another_by_design_is_not_compared() -> None:
    assert split_pairs(["train", "val", "trainval", "test"]) == [
        ("train", "val"), ("train", "test"), ("trainval", "test"), ("val", "test")
    ]  # fmt: skip
    assert split_pairs(["all"]) == []


def test_a_split_that_will_be_divided_is_looked_through(
    clean: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = clean("csv", 6)
    (root / "val.csv").unlink()
    Image.open(root / "images" / "0.jpg").save(root / "images" / "4.jpg", quality=60)
    found = examine(detect_format(root), Plan()).report.findings
    (finding,) = found.kept["near_copy_in_split"]
    assert finding.file.endswith("4.jpg") and "4.jpg shows nearly the same as" in finding.sentence
    assert found.num("error") == 0 and finding.images[1].endswith("0.jpg")


@pytest.mark.parametrize("read_again", [0, 20_000])
def test_what_training_alone_refuses_is_an_error(
    clean: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read_again: int
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pocketvision.doctor.check._READ_AGAIN", read_again)
    root = clean("csv", 1)
    (root / "val.csv").unlink()
    found = examine(detect_format(root), Plan()).report.findings
    (finding,) = found.kept["not_read"]
    assert found.num("error") == 1 and "has 1 image: add images" in finding.sentence


def filmed(root: Path, places: list[str]) -> None:
    """Frames of one moving picture at ``places``, without a change from one to the next that is seen."""
    first = Image.open(root / places[0])
    for i, place in enumerate(places):
        ImageEnhance.Brightness(first).enhance(1 + 0.004 * i).save(root / place, quality=90)


@pytest.mark.parametrize("is_divided", [True, False])
def test_frames_of_a_clip_are_told_as_one(
    clean: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_divided: bool
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = clean("csv", 6)  # images 0 to 5 are for training, 6 to 11 for validation
    if is_divided:
        (root / "val.csv").unlink()
    filmed(root, [f"images/{i}.jpg" for i in range(1, 5)])
    found = examine(detect_format(root), Plan()).report.findings
    (finding,) = found.kept["clip"]
    assert "1.jpg to 4.jpg are 4 nearly identical frames of one clip" in finding.sentence
    assert "clip_across_splits" not in found.kept and found.num("error") == 0


def test_a_clip_in_two_splits_is_a_warning(
    clean: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = clean("csv", 6)
    filmed(root, [f"images/{i}.jpg" for i in range(4, 9)])
    found = examine(detect_format(root), Plan()).report.findings
    (finding,) = found.kept["clip_across_splits"]
    assert "5 nearly identical frames of one clip, 2 in train and 3 in val" in finding.sentence
    assert "clip" not in found.kept and finding.images[1].endswith("8.jpg")
