"""What an input keeps of masks, and the tiles that keep enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvision.datasets import detect_format
from pocketvision.datasets.format_modules import data_module_of
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.doctor.checks.detail import ENOUGH, LITTLE, advise_mask_tiles, kept_iou, suggest_mask_tiles

Cracks = Callable[[int], SegmentationRecords]


@pytest.fixture
def cracks(tmp_path: Path) -> Cracks:
    """Masks of 600x900 with lines some pixels wide."""

    def make(width: int) -> SegmentationRecords:
        rng = np.random.default_rng(0)
        for number in range(6):
            mask = np.zeros((600, 900), np.uint8)
            for _ in range(12):
                start, end = rng.integers(0, 600, (2, 2)).tolist()
                cv2.line(mask, start, end, 1, width)
            for kind, pixels in (("images", mask * 200), ("masks", mask)):
                (tmp_path / kind).mkdir(exist_ok=True)
                cv2.imwrite(str(tmp_path / kind / f"{number}.png"), pixels)
        (tmp_path / "classes.txt").write_text("ground\ncrack\n")
        module = data_module_of(detect_format(tmp_path, "segmentation"))(num_workers=0)
        records = module.own_records(module.train_split)
        assert isinstance(records, SegmentationRecords)
        return records

    return make


def test_fine_masks_get_tiles_and_coarse_ones_none(cracks: Cracks) -> None:
    advice = suggest_mask_tiles(cracks(2), (96, 144))
    assert advice is not None and advice.kept < LITTLE and "144x96" in advice.reason()
    height, width = advice.tile
    assert height / width == pytest.approx(96 / 144) and height * width <= 600 * 900 / 2
    assert advice.as_row()["tile"] == advice.tile
    assert suggest_mask_tiles(cracks(40), (96, 144)) is None


def test_tiles_are_as_large_as_the_detail_allows(cracks: Cracks) -> None:
    fine, coarse = (suggest_mask_tiles(cracks(width), (96, 144)) for width in (2, 5))
    assert fine is not None and coarse is not None
    assert fine.tile[0] < coarse.tile[0]


def test_pictures_are_not_enlarged(cracks: Cracks) -> None:
    """An input of nearly the pictures' size: its tiles would be most of a picture."""
    assert suggest_mask_tiles(cracks(1), (500, 750)) is None


def test_a_data_set_that_is_read_as_training_reads_it(cracks: Cracks) -> None:
    assert advise_mask_tiles({}) is None
    assert advise_mask_tiles({"train": cracks(40)}) is None


@given(st.integers(1, 4), st.integers(0, 100))
def test_what_is_kept_is_the_iou(factor: int, seed: int) -> None:
    """Against an IoU counted class by class; nothing is lost without shrinking, or where blocks are equal."""
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 4, (24, 36), dtype=np.uint8)
    mask[rng.random(mask.shape) < 0.1] = 255
    mask[0, 0] = 0
    smaller = (24 // factor, 36 // factor)
    (kept,) = kept_iou(iter([mask]), 4, [lambda _: smaller])
    small = cv2.resize(mask, smaller[::-1], interpolation=cv2.INTER_NEAREST)
    again = cv2.resize(small, (36, 24), interpolation=cv2.INTER_NEAREST)
    known = mask != 255
    ious = [
        ((mask == k) & (again == k) & known).sum() / (((mask == k) | (again == k)) & known).sum()
        for k in range(4)
        if ((mask == k) & known).any()
    ]
    assert kept == pytest.approx(np.mean(ious))
    blocks = np.kron(mask, np.ones((factor, factor), np.uint8))
    assert kept_iou(iter([blocks]), 4, [lambda _: (24, 36)]) == [1.0]
    assert LITTLE < ENOUGH
