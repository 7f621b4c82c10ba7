"""Covers datasets/shapes_data.py.

The generated shapes keep their promises, and cheap tricks do not solve them.
"""

from __future__ import annotations

import contextlib
import io
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets.augment.recipes import DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.shapes import (
    SEGMENTATION_SHAPE_NAMES,
    SHAPE_NAMES,
    VAL_SEED,
    ShapeImage,
    generate,
)
from pocketvision.datasets.shapes_data import (
    ShapesDetectionDataModule,
    ShapesDetectionDataset,
    ShapesSegmentationDataModule,
)

TRAIN, VAL = 0, VAL_SEED
SIZE = 192


@lru_cache(maxsize=2)
def draw(seed: int, count: int = 150) -> list[ShapeImage]:
    return [generate(i, seed) for i in range(count)]


def test_types_and_names() -> None:
    picture = generate(0, TRAIN, 128)
    assert picture.image.shape == (128, 128, 3) and picture.image.dtype == np.uint8
    assert picture.mask.shape == (128, 128) and picture.mask.dtype == np.uint8
    assert picture.boxes.dtype == np.float32 and picture.labels.dtype == np.int64
    assert SEGMENTATION_SHAPE_NAMES[0] == "background" and SEGMENTATION_SHAPE_NAMES[1:] == SHAPE_NAMES


def test_same_arguments_give_the_same_picture() -> None:
    for first, second in zip(generate(7, 3), generate(7, 3), strict=True):
        np.testing.assert_array_equal(first, second)


def test_pictures_differ_within_and_between_series() -> None:
    pictures = {picture.image.tobytes() for seed in (TRAIN, VAL) for picture in draw(seed)}
    assert len(pictures) == 300


@pytest.mark.parametrize("size", [64, 192, 320])
def test_counts_sizes_and_overlap(size: int) -> None:
    for index in range(60):
        _, boxes, labels, mask = generate(index, TRAIN, size)
        assert 1 <= len(boxes) <= 6 and len(boxes) == len(labels)
        assert labels.min() >= 0 and labels.max() < len(SHAPE_NAMES)
        assert boxes.min() >= 0 and boxes.max() <= size
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / size
        assert sides.min() >= 0.12 - 1 / size and sides.max() <= 0.6 + 1 / size
        assert all(iou(a, b) <= 0.3 for i, a in enumerate(boxes) for b in boxes[:i])
        assert set(np.unique(mask)) <= {0, *(labels + 1)}


def iou(a: np.ndarray, b: np.ndarray) -> float:
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap))


def test_a_shape_that_nothing_hides_fills_its_box_to_the_edges() -> None:
    exact = total = 0
    for picture in draw(TRAIN):
        if len(picture.labels) != 1:
            continue
        ys, xs = np.nonzero(picture.mask)
        seen = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        box = picture.boxes[0]
        assert (seen[:2] >= box[:2]).all() and (seen[2:] <= box[2:]).all()
        exact, total = exact + bool((seen == box).all()), total + 1
    assert total > 15 and exact > 0.6 * total, "only distractors may hide an edge"


def test_every_shape_stays_mostly_visible() -> None:
    for _, boxes, labels, mask in draw(TRAIN):
        for (left, top, right, bottom), label in zip(boxes.astype(int), labels, strict=True):
            inside = mask[top:bottom, left:right] == label + 1
            assert inside.mean() > 0.08


def test_class_tells_nothing_about_size_position_and_colour() -> None:
    statistics: list[list[np.ndarray]] = [[] for _ in SHAPE_NAMES]
    for picture in [*draw(TRAIN), *draw(VAL)]:
        for box, label in zip(picture.boxes, picture.labels, strict=True):
            left, top, right, bottom = box.astype(int)
            seen = picture.mask[top:bottom, left:right] == label + 1
            color = picture.image[top:bottom, left:right][seen].mean(axis=0) / 255
            center, side = (box[:2] + box[2:]) / 2 / SIZE, (box[2:] - box[:2]).max() / SIZE
            statistics[label].append(np.array([*color, *center, side]))
    counts = np.array([len(rows) for rows in statistics])
    assert counts.min() > 0.8 * counts.mean()
    means = np.array([np.mean(rows, axis=0) for rows in statistics])
    assert np.abs(means - means.mean(axis=0)).max() < 0.05


def test_mean_boxes_of_the_classes_score_nothing() -> None:
    assert average_precision(typical_boxes()) < 0.15


def test_color_regions_with_the_best_guess_of_a_class_score_little() -> None:
    assert average_precision(color_guesses()) < 0.15


Guess = tuple[int, np.ndarray, int, float]
"""Index of the image, box, label, score."""


def typical_boxes(num_centers: int = 8) -> list[Guess]:
    """The same boxes for every image: for each class the k-means centers of its training boxes."""
    boxes = np.concatenate([picture.boxes for picture in draw(TRAIN)])
    labels = np.concatenate([picture.labels for picture in draw(TRAIN)])
    guesses: list[Guess] = []
    for label in range(len(SHAPE_NAMES)):
        cv2.setRNGSeed(0)
        rule = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.1)
        own = boxes[labels == label]
        _, members, centers = cv2.kmeans(own, num_centers, None, rule, 3, cv2.KMEANS_PP_CENTERS)
        shares = np.bincount(members.ravel(), minlength=num_centers) / len(members)
        for box, share in zip(centers, shares, strict=True):
            guesses += [(index, box, label, float(share)) for index in range(len(draw(VAL)))]
    return guesses


def color_guesses() -> list[Guess]:
    """Regions of one color, with the class that is most frequent for such a color and size."""
    counts = np.ones((27 * 3, len(SHAPE_NAMES)))
    for picture in draw(TRAIN):
        for box, key in color_regions(picture.image):
            matches = [iou(box, truth) for truth in picture.boxes]
            if max(matches) > 0.5:
                counts[key, picture.labels[int(np.argmax(matches))]] += 1
    chances = counts / counts.sum(axis=1, keepdims=True)
    return [
        (index, box, label, float(chance))
        for index, picture in enumerate(draw(VAL))
        for box, key in color_regions(picture.image)
        for label, chance in enumerate(chances[key])
    ]


def color_regions(image: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Boxes of connected regions after reducing the image to 8 colors, with a key of color and size."""
    small = cv2.medianBlur(cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA), 5)
    cv2.setRNGSeed(0)
    rule = (cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    pixels = small.reshape(-1, 3).astype(np.float32)
    _, members, centers = cv2.kmeans(pixels, 8, None, rule, 1, cv2.KMEANS_PP_CENTERS)
    regions = []
    for i, color in enumerate(centers):
        chosen = (members.reshape(96, 96) == i).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(chosen)
        for x, y, width, height, area in stats[1:].tolist():
            side = max(width, height) / 96
            if 0.1 <= side <= 0.62 and area >= 0.25 * width * height:
                box = np.array([x, y, x + width, y + height], np.float32) * (SIZE / 96)
                key = int((color // 86) @ np.array([9, 3, 1])) * 3 + min(2, int(side * 5))
                regions.append((box, key))
    return regions


def average_precision(guesses: list[Guess]) -> float:
    """COCO AP of the guesses on the validation pictures."""
    truth = [
        (index, box, label)
        for index, picture in enumerate(draw(VAL))
        for box, label in zip(picture.boxes, picture.labels, strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": index + 1} for index in range(len(draw(VAL)))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(SHAPE_NAMES)],
        "annotations": [
            entry(index, box, int(label)) | {"id": i, "iscrowd": 0}
            for i, (index, box, label) in enumerate(truth, start=1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        found = coco.loadRes([entry(index, box, label) | {"score": s} for index, box, label, s in guesses])
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def entry(index: int, box: np.ndarray, label: int) -> dict[str, object]:
    left, top, right, bottom = box.tolist()
    width, height = right - left, bottom - top
    return {
        "image_id": index + 1,
        "category_id": label,
        "bbox": [left, top, width, height],
        "area": width * height,
    }


def test_large_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="seed"):
        generate(0, 2**40)


@pytest.mark.parametrize("augment", [False, True])
def test_detection_data_module(augment: bool) -> None:
    augmentation = DetectionAugmentation() if augment else None
    data = ShapesDetectionDataModule(6, 4, 96, batch_size=2, num_workers=0, augmentation=augmentation)
    data.connect(("star", "circle"), Resize((64, 80)))
    batches = list(data.train_dataloader())
    assert len(batches) == 3 and batches[0].images.shape == (2, 3, 64, 80)
    assert {int(label) for batch in batches for target in batch.targets for label in target.labels} <= {0, 1}
    truth = coco_dataset(data.records("val"))
    assert [image["id"] for image in truth["images"]] == [1, 2, 3, 4]
    samples = [target for batch in data.val_dataloader() for target in batch.targets]
    assert [target.image_id for target in samples] == [1, 2, 3, 4]
    assert sum(len(target.labels) for target in samples) == len(truth["annotations"])


@pytest.mark.parametrize("augment", [False, True])
def test_segmentation_data_module(augment: bool) -> None:
    augmentation = SegmentationAugmentation() if augment else None
    data = ShapesSegmentationDataModule(6, 4, 96, batch_size=2, num_workers=0, augmentation=augmentation)
    data.connect(data.class_names(), Resize((64, 64)))
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (2, 3, 64, 64) and batch.targets[0].mask.shape == (64, 64)
    (target, *_) = next(iter(data.val_dataloader())).targets
    np.testing.assert_array_equal(target.mask.numpy(), generate(0, VAL, 96).mask)


def test_augmentation_depends_on_the_epoch_alone() -> None:
    dataset = ShapesDetectionDataset(2, 0, Resize((64, 64)), DetectionAugmentation(), image_size=96)
    assert torch.equal(dataset[3, 1][0], dataset[3, 1][0])
    assert not torch.equal(dataset[3, 1][0], dataset[4, 1][0])


def test_unknown_split_is_named() -> None:
    with pytest.raises(InputError, match="no split 'trian'"):
        ShapesDetectionDataModule(2, 2, 64).records("trian")
