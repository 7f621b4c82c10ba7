"""Arrays say what PyTorch says: boxes, label maps and scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.resize import Resize
from pocketvision.deploy.runtimes.array_results import find_boxes, find_labels, find_scores
from pocketvision.deploy.runtimes.artifact import DETECTIONS, LABEL_MAP, Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.results import (
    finish_detections,
    finish_label_maps,
    finish_scores,
    restore_detections,
)
from pocketvision.models import SSDPostprocess, VisionModel

SIZES = [(90, 70), (33, 200), (64, 80)]
Models = dict[str, VisionModel]


def detector(coder: BoxCoder, function: str, seed: int) -> tuple[Artifact, dict[str, torch.Tensor]]:
    """A crowd of anchors with random scores: an artifact and the outputs of its graph for three images."""
    draws = torch.Generator().manual_seed(seed)
    low = torch.rand(400, 2, generator=draws) * 60
    anchors = torch.cat((low, low + 4 + 20 * torch.rand(400, 2, generator=draws)), dim=1)
    columns = 5 if function == "softmax" else 4
    outputs = {
        "class_logits": 3 * torch.randn(3, 400, columns, generator=draws) - 1,
        "box_deltas": 1 + 0.4 * torch.randn(3, 400, 4, generator=draws),
    }
    postprocess = SSDPostprocess(
        score_threshold=0.02 + 0.3 * (seed % 3), iou_threshold=0.4 + 0.1 * (seed % 4),
        candidates_per_class=(20, 300)[seed % 2], max_detections=(40, 300)[seed // 2 % 2],
        coder=coder, score_function=function, reserved_labels=(1,),  # type: ignore[arg-type]
    )  # fmt: skip
    artifact = Artifact(
        task="detection", class_names=("cat", None, "dog", "owl"),
        resize=Resize((64, 80), mode=("stretch", "letterbox")[seed % 2]), mean=(0, 0, 0), std=(1, 1, 1),
        outputs=("class_logits", "box_deltas"), weights_sha256="", postprocess=postprocess,
        anchors=tuple(map(tuple, anchors.tolist())),  # type: ignore[arg-type]
    )  # fmt: skip
    return artifact, outputs


@pytest.mark.parametrize("coder", [SSDBoxCoder(), DistanceBoxCoder()])
@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
@pytest.mark.parametrize("seed", range(6))
def test_boxes(coder: BoxCoder, function: str, seed: int) -> None:
    artifact, outputs = detector(coder, function, seed)
    expected = restore_detections(artifact, finish_detections(artifact, outputs), SIZES)
    arrays = {name: value.numpy() for name, value in outputs.items()}
    for found, wanted in zip(find_boxes(artifact, arrays, SIZES), expected, strict=True):
        assert len(wanted.scores) > 10 and len(found.scores) == len(wanted.scores)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-6)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)
        assert found.boxes.dtype == found.scores.dtype == np.float32 and found.labels.dtype == np.int64


class Corners:
    """A coder of somebody's own: deltas are boxes."""

    def encode(self, boxes: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
        return boxes

    def decode(self, deltas: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
        return deltas + anchors


def test_a_coder_of_ones_own() -> None:
    artifact, outputs = detector(Corners(), "softmax", 0)
    expected = restore_detections(artifact, finish_detections(artifact, outputs), SIZES)
    arrays = {name: value.numpy() for name, value in outputs.items()}
    for found, wanted in zip(find_boxes(artifact, arrays, SIZES), expected, strict=True):
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)


def test_final_boxes() -> None:
    artifact, outputs = detector(SSDBoxCoder(), "softmax", 1)
    batch = finish_detections(artifact, outputs)
    whole = replace(artifact, outputs=DETECTIONS)
    arrays = dict(zip(DETECTIONS, (value.numpy() for value in batch), strict=True))
    for found, wanted in zip(
        find_boxes(whole, arrays, SIZES), restore_detections(artifact, batch, SIZES), strict=True
    ):
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)
        np.testing.assert_array_equal(found.labels, wanted.labels)


def test_nothing_found() -> None:
    artifact, outputs = detector(SSDBoxCoder(), "softmax", 1)
    assert artifact.postprocess is not None
    strict = replace(artifact, postprocess=replace(artifact.postprocess, score_threshold=1.0))
    arrays = {name: value.numpy() for name, value in outputs.items()}
    assert [part.boxes.shape for part in find_boxes(strict, arrays, SIZES)] == [(0, 4)] * 3


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_label_maps(mode: str, models: Models) -> None:
    artifact = replace(describe(models["segmentation"]), resize=Resize((64, 80), mode=mode))  # type: ignore[arg-type]
    logits = torch.randn(3, 4, 8, 10, generator=torch.Generator().manual_seed(0))
    expected = finish_label_maps(artifact, {"logits": logits}, SIZES)
    found = find_labels(artifact, {"logits": logits.numpy()}, SIZES)
    for labels, wanted in zip(found, expected, strict=True):
        assert labels.shape == wanted.shape and labels.dtype == np.uint8 and 1 not in labels
        assert (labels == wanted.numpy()).mean() > 0.9999
    whole = replace(artifact, outputs=LABEL_MAP)
    maps = torch.randint(0, 4, (3, 64, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = finish_label_maps(whole, {"label_map": maps}, SIZES)
    for labels, wanted in zip(find_labels(whole, {"label_map": maps.numpy()}, SIZES), expected, strict=True):
        np.testing.assert_array_equal(labels, wanted)


def test_scores(models: Models) -> None:
    artifact = describe(models["classification"])
    logits = 4 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = finish_scores(artifact, {"class_logits": logits})
    np.testing.assert_allclose(find_scores(artifact, {"class_logits": logits.numpy()}), expected, atol=1e-6)
