"""Covers datasets/augment/recipes.py, datasets/augment/ssd_crop.py."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionAugmentation, DetectionDataset, collate_detection, read_coco
from pocketvision.datasets.augment.ssd_crop import (
    centers_inside,
    clean_boxes,
    crop_window,
    expand_window,
    jitter_window,
)

Coco = Callable[..., Path]
RESIZE = Resize((80, 80))


def test_evaluation_scales_boxes_and_leaves_crowd_out(coco: Coco) -> None:
    dataset = DetectionDataset(read_coco(coco(), "train"), RESIZE)
    images, targets = collate_detection([dataset[i] for i in range(4)])
    assert images.shape == (4, 3, 80, 80) and images.dtype == torch.uint8
    assert [target.labels.tolist() for target in targets] == [[], [1, 2], [0], []]
    expected = torch.tensor([[5, 6, 25, 16], [30.5, 20, 40.5, 30]]) * torch.tensor([80 / 60, 2, 80 / 60, 2])
    torch.testing.assert_close(targets[1].boxes, expected)
    assert targets[0].boxes.shape == (0, 4)
    assert (targets[1].image_id, targets[1].original_size) == (10, (40, 60))


def test_image_of_another_size(coco: Coco) -> None:
    records = read_coco(coco(lambda c: c["images"][1].update(width=61)), "train")
    with pytest.raises(InputError, match=r"1\.jpg is 60x40 pixels.*61x40"):
        DetectionDataset(records, RESIZE)[1]


def test_clean_boxes() -> None:
    boxes = np.array([[-5, -5, 10, 10], [59.5, 0, 70, 9], [3, 3, 3.9, 9], [1, 1, 3, 3]], dtype=np.float32)
    cleaned, labels = clean_boxes(boxes, np.arange(4), (40, 60))
    assert cleaned.tolist() == [[0, 0, 10, 10], [1, 1, 3, 3]] and labels.tolist() == [0, 3]


@pytest.mark.parametrize("scale_jitter", [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("resize", [RESIZE, Resize((80, 80), mode="letterbox", fill=0)])
def test_augmented_boxes_follow_their_objects(scale_jitter: tuple[float, float], resize: Resize) -> None:
    """Each box is a rectangle of its own color: the same color must fill it afterwards."""
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    boxes = np.array([[20, 30, 120, 90], [150, 100, 300, 220], [200, 10, 260, 60]], dtype=np.float32)
    for i, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2, i] = 250
    augmentation = DetectionAugmentation(
        photometric=False, vertical_flip=0.5, rotate90=True, fill=(0, 0, 0), scale_jitter=scale_jitter
    )
    counts = []
    for seed in range(60):
        new, kept, labels = augmentation(image, boxes, np.arange(3), resize, np.random.default_rng(seed))
        assert new.shape == (80, 80, 3) and new.dtype == np.uint8
        assert kept.dtype == np.float32 and (kept >= 0).all() and (kept <= 80).all()
        assert (kept[:, 2:] - kept[:, :2] >= 1).all()
        counts.append(len(kept))
        for (x1, y1, x2, y2), label in zip(kept, labels, strict=True):
            inside = new[round(y1) + 1 : round(y2) - 1, round(x1) + 1 : round(x2) - 1, label]
            assert (inside > 200).all()
            total = (new[..., label] > 125).sum()
            assert total <= (x2 - x1 + 1.5) * (y2 - y1 + 1.5)
    assert min(counts) >= (scale_jitter == (1.0, 1.0)) and max(counts) == 3 and len(set(counts)) > 1


def test_crop_keeps_the_iou() -> None:
    boxes = np.array([[100, 100, 200, 200]], dtype=np.float32)
    whole, rng = np.array([0.0, 0, 400, 300]), np.random.default_rng(0)
    options = {"min_side": 0.3, "max_aspect_ratio": 2.0, "trials": 200, "rng": rng}
    for _ in range(20):
        window = crop_window(boxes, whole, probability=1.0, min_ious=(0.3,), **options)
        x1, y1, x2, y2 = window
        assert 0 <= x1 < x2 <= 400 and 0 <= y1 < y2 <= 300 and centers_inside(boxes, window[None]).all()
        overlap = (min(x2, 200) - max(x1, 100)) * (min(y2, 200) - max(y1, 100))
        assert overlap / ((x2 - x1) * (y2 - y1) + 10000 - overlap) >= 0.3
        assert 0.45 < (x2 - x1) / (y2 - y1) < 2.1
    nothing = np.zeros((0, 4), dtype=np.float32)
    assert crop_window(nothing, whole, probability=1.0, min_ious=(0.3,), **options) is whole


def test_zoomed_out_window_holds_the_image() -> None:
    for seed in range(20):
        left, top, right, bottom = expand_window((40, 60), (1.0, 3.0), np.random.default_rng(seed))
        assert left <= 0 <= 60 <= right and top <= 0 <= 40 <= bottom
        assert right - left <= 181 and bottom - top <= 121


def test_jittered_window_is_inside_or_around_the_image() -> None:
    rng = np.random.default_rng(0)
    for factor in (0.4, 1.0, 2.5):
        for _ in range(10):
            left, top, right, bottom = jitter_window((40, 60), (factor, factor), rng)
            assert (right - left, bottom - top) == pytest.approx((60 / factor, 40 / factor))
            around = left <= 0 and right >= 60 - 1e-9 and top <= 0 and bottom >= 40 - 1e-9
            inside = left >= 0 and right <= 60 + 1e-9 and top >= 0 and bottom <= 40 + 1e-9
            assert around if factor < 1 else inside


def test_background_image_is_augmented(coco: Coco) -> None:
    dataset = DetectionDataset(read_coco(coco(), "train"), RESIZE, DetectionAugmentation())
    image, target = dataset[3]
    assert image.shape == (3, 80, 80) and target.boxes.shape == (0, 4) and target.labels.dtype == torch.int64


def test_crowd_is_never_trained_on(coco: Coco) -> None:
    dataset = DetectionDataset(read_coco(coco(), "train"), RESIZE, DetectionAugmentation())
    assert all(len(dataset[epoch, 0][1].boxes) == 0 for epoch in range(10))


def test_sample_depends_on_seed_epoch_and_index_only(coco: Coco) -> None:
    records = read_coco(coco(), "train")
    dataset = DetectionDataset(records, RESIZE, DetectionAugmentation(), seed=3)
    first = dataset[2, 1]
    dataset[0, 0]
    again = pickle.loads(pickle.dumps(dataset))[2, 1]
    assert (first[0] == again[0]).all() and (first[1].boxes == again[1].boxes).all()
    assert not (first[0] == dataset[3, 1][0]).all()
    other = DetectionDataset(records, RESIZE, DetectionAugmentation(), seed=4)
    assert not (first[0] == other[2, 1][0]).all()
