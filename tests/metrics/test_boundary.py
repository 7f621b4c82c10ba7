"""Boundary IoU against eroded masks of single classes, as its authors compute it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.metrics import BoundaryIoUMetric
from pocketvision.metrics.boundary import boundary_width

NAMES = ("road", "sky", "car", None)
Maps = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def random_maps(seed: int) -> Maps:
    random = np.random.default_rng(seed)
    coarse = random.choice([0, 1, 2, 255], (6, 7), p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    truth = coarse.repeat(9, 0).repeat(8, 1)
    prediction = np.roll(truth, (2, -3), (0, 1))
    prediction[20:30, 10:25] = 3
    prediction[prediction == 255] = 1
    return prediction, truth


def eroded_boundary(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    edge: NDArray[np.bool_] = mask & (inside == 0)
    return edge


def brute_force(images: list[Maps], share: float) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    for label, name in enumerate(NAMES):
        common = union = 0
        for prediction, truth in images:
            counted = truth != 255
            width = boundary_width(truth.shape, share)
            true = eroded_boundary(truth == label, width)
            found = eroded_boundary((prediction == label) & counted, width)
            common += int((true & found).sum())
            union += int((true | found).sum())
        if name is not None:
            result[name] = common / union if union else None
    return result


@pytest.mark.parametrize("share", [0.02, 0.06])
def test_equals_eroded_masks(share: float) -> None:
    images = [random_maps(seed) for seed in range(3)]
    metric, other = BoundaryIoUMetric(NAMES, share), BoundaryIoUMetric(NAMES, share)
    metric.update(*images[0])
    for maps in images[1:]:
        other.update(*maps)
    metric.merge(other)
    values, expected = metric.compute(), brute_force(images, share)
    assert {name: row["boundary_IoU"] for name, row in values["per_class"].items()} == expected
    assert values["boundary_mIoU"] == pytest.approx(np.mean(list(expected.values())))


def test_a_class_that_is_nowhere_is_undefined() -> None:
    metric = BoundaryIoUMetric(NAMES)
    assert metric.compute()["boundary_mIoU"] is None
    truth = np.zeros((20, 20), np.uint8)
    metric.update(truth, truth)
    values = metric.compute()
    assert values["boundary_mIoU"] == 1 and values["per_class"]["car"]["boundary_IoU"] is None


def test_two_per_cent_unless_told_and_254_classes() -> None:
    maps = random_maps(4)
    prediction, truth = (np.kron(labels, np.ones((2, 2), np.uint8)) for labels in maps)
    names = [str(label) for label in range(254)]
    metric, told = BoundaryIoUMetric(names), BoundaryIoUMetric(names, 0.02)
    for each in (metric, told):
        each.update(prediction, truth)
    assert 0 < metric.compute()["boundary_mIoU"] == told.compute()["boundary_mIoU"] < 1
    assert boundary_width(truth.shape, 0.02) < boundary_width(truth.shape, 0.03)


def test_width_is_a_share_of_the_diagonal() -> None:
    assert (boundary_width((1024, 2048), 0.005), boundary_width((10, 10), 0.02)) == (11, 1)
    assert [boundary_width((30, 40), share) for share in (0.0501, 0.0699, 0.0701)] == [3, 3, 4], "rounded"


@pytest.mark.parametrize("bad", [np.zeros((2, 3), np.uint8), np.full((2, 2), 300)])
def test_wrong_maps_are_refused(bad: NDArray[Any]) -> None:
    with pytest.raises(InputError, match="must be bytes of one"):
        BoundaryIoUMetric(NAMES).update(bad, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="up to 254 classes"):
        BoundaryIoUMetric(["x"] * 255)
