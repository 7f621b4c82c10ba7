"""Doubts are what their formulas say, for boxes, pixels and images."""

from __future__ import annotations

import numpy as np
import torch

from pocketvision.core.structures import DetectionOutput
from pocketvision.deploy.rank.doubt import LEAST_SCORE, doubts, relative
from pocketvision.models import Detector, VisionModel


@torch.no_grad()
def test_boxes(models: dict[str, VisionModel]) -> None:
    detector = models["detection"]
    assert isinstance(detector, Detector)
    images = torch.randint(0, 256, (2, 3, *detector.resize.image_size), dtype=torch.uint8)
    output = detector(images)
    assert isinstance(output, DetectionOutput)
    found = doubts(detector, output, images)
    expected = torch.zeros(2, len(detector.class_names))
    for row, part in zip(
        expected, detector.postprocess(output, detector.resize.image_size).unpad(), strict=True
    ):
        for score, label in zip(part.scores.tolist(), part.labels.tolist(), strict=True):
            row[label] += 4 * score * (1 - score) if score > LEAST_SCORE else 0.0
    assert expected.sum() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pixels_and_images(models: dict[str, VisionModel]) -> None:
    for task in ("segmentation", "classification"):
        model = models[task]
        images = torch.randint(0, 256, (2, 3, *model.resize.image_size), dtype=torch.uint8)
        logits = model(images)
        found = doubts(model, logits, images).numpy()
        named = [i for i, name in enumerate(model.class_names) if name is not None]
        values = logits.reshape(2, len(model.class_names), -1)[:, named].double().softmax(dim=1).numpy()
        entropy = -(values * np.log(values)).sum(axis=1) / np.log(len(named))
        best = values.argmax(axis=1)
        for number, label in enumerate(named):
            own = np.where(best == number, entropy, 0.0).mean(axis=1)
            np.testing.assert_allclose(found[:, label], own, rtol=1e-4, atol=1e-6)
        assert not found[:, [i for i in range(len(model.class_names)) if i not in named]].any()


def test_one_class_of_one_name_has_no_doubt(models: dict[str, VisionModel]) -> None:
    model = models["classification"]
    logits = torch.randn(3, len(model.class_names))
    names, model.class_names = model.class_names, ("only", *[None] * (len(model.class_names) - 1))
    try:
        assert not doubts(model, logits, logits).any()
    finally:
        model.class_names = names


def test_classes_count_alike_and_chance_does_not() -> None:
    often = np.array([[10.0, 0.0], [10.0, 0.0], [10.0, 5.0], [10.0, 0.0]])
    assert relative(often).argmax() == 2 and np.isclose(relative(often).mean(), 1)
    chance = np.array([[10.0, 0.0], [14.0, 0.0], [10.0, 1e-4], [10.0, 0.0]])
    assert relative(chance).argmax() == 1
    assert relative(np.zeros((3, 2))).tolist() == [1, 1, 1]
