"""Final detections against torchvision's and a greedy loop."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.ssd import SSD

from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections, Size, stack_detections
from pocketvision.models import SSDPostprocess


def random_output(
    num_images: int, anchors: Tensor, num_outputs: int, seed: int = 0, spread: float = 1.0
) -> DetectionOutput:
    """Softmax scores over a wide range, boxes near their anchors."""
    generator = torch.Generator().manual_seed(seed)
    return DetectionOutput(
        torch.randn(num_images, len(anchors), num_outputs, generator=generator) * 2.5,
        torch.randn(num_images, len(anchors), 4, generator=generator) * spread,
        anchors,
    )


def random_anchors(count: int, size: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size * 0.8
    return torch.cat((corner, corner + 5 + torch.rand(count, 2, generator=generator) * size * 0.6), dim=-1)


def torchvision_detections(output: DetectionOutput, image_size: Size) -> list[Detections]:
    """Theirs; their background is class 0."""
    ssd = SimpleNamespace(
        box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)),
        score_thresh=0.001,
        nms_thresh=0.55,
        topk_candidates=300,
        detections_per_img=300,
    )
    count = len(output.class_logits)
    heads = {"bbox_regression": output.box_deltas, "cls_logits": output.class_logits.roll(1, dims=-1)}
    images = SSD.postprocess_detections(ssd, heads, [output.anchors] * count, [image_size] * count)  # type: ignore[arg-type]
    return [Detections(image["boxes"], image["scores"], image["labels"] - 1) for image in images]


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0.0) * max(height, 0.0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return overlap / (areas - overlap) if areas > overlap else 0.0


def by_loops(postprocess: SSDPostprocess, output: DetectionOutput, image_size: Size) -> list[Detections]:
    """Threshold, best of each class, greedy NMS in each class, best of all: one box at a time."""
    images = []
    for logits, deltas in zip(output.class_logits, output.box_deltas, strict=True):
        is_softmax = postprocess.score_function == "softmax"
        scores = (logits.softmax(-1)[:, :-1] if is_softmax else logits.sigmoid()).tolist()
        decoded = postprocess.coder.decode(deltas, output.anchors).tolist()
        limits = (image_size[1], image_size[0]) * 2
        boxes = [[min(max(v, 0.0), m) for v, m in zip(box, limits, strict=True)] for box in decoded]
        found = []
        for label in range(len(scores[0])):
            if label in postprocess.reserved_labels:
                continue
            candidates = [a for a in range(len(boxes)) if scores[a][label] > postprocess.score_threshold]
            candidates.sort(key=lambda a: -scores[a][label])
            kept: list[int] = []
            for a in candidates[: postprocess.candidates_per_class]:
                if all(iou(boxes[a], boxes[k]) <= postprocess.iou_threshold for k in kept):
                    kept.append(a)
            found += [(scores[a][label], label, boxes[a]) for a in kept]
        found.sort(key=lambda detection: -detection[0])
        found = found[: postprocess.max_detections]
        images.append(
            Detections(
                torch.tensor([box for _, _, box in found]).reshape(-1, 4),
                torch.tensor([score for score, _, _ in found]),
                torch.tensor([label for _, label, _ in found], dtype=torch.int64),
            )
        )
    return images


def assert_same(ours: list[Detections], expected: list[Detections], pixels: float = 1e-2) -> None:
    """Equal one to one, whatever the order of nearly equal scores."""
    for image, reference in zip(ours, expected, strict=True):
        assert len(image.scores) == len(reference.scores)
        assert (image.scores.diff() <= 0).all(), "best first"
        near = (image.boxes[:, None] - reference.boxes).abs().amax(dim=-1) <= pixels
        near &= (image.scores[:, None] - reference.scores).abs() <= 1e-5
        near &= image.labels[:, None] == reference.labels
        assert (near.sum(dim=0) == 1).all() and (near.sum(dim=1) == 1).all()


@pytest.mark.parametrize("image_size", [(300, 300), (320, 320), (257, 385)])
def test_equals_torchvision(image_size: Size) -> None:
    height, width = image_size
    maps = [(-(-height // stride), -(-width // stride)) for stride in (16, 32, 64, 128, 256, 512)]
    output = random_output(3, TorchvisionAnchors()(maps, image_size), num_outputs=21)
    expected = torchvision_detections(output, image_size)
    batch = SSDPostprocess()(output, image_size)
    assert batch.num_detections.tolist() == [300] * 3 and batch.labels.dtype == torch.int64
    assert batch.scores.max() > 0.9 and batch.boxes.min() >= 0
    assert batch.boxes[..., 0::2].max() <= width and batch.boxes[..., 1::2].max() <= height
    assert_same(batch.unpad(), expected)


def test_equals_torchvision_where_few_boxes_remain() -> None:
    output = random_output(3, random_anchors(60, 200, seed=1), num_outputs=3, spread=0.2)
    assert_same(SSDPostprocess()(output, (250, 300)).unpad(), torchvision_detections(output, (250, 300)))


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 10_000),
    st.integers(1, 80),
    st.sampled_from([0.3, 0.55, 0.8]),
    st.sampled_from([0.001, 0.05, 0.4]),
    st.sampled_from([1, 5, 300]),
    st.sampled_from([1, 3, 20, 300]),
    st.sampled_from(["softmax", "sigmoid"]),
)
def test_equals_loops(
    seed: int, first_round: int, overlap: float, score: float, per_class: int, most: int, function: str
) -> None:
    """Small first rounds need several more; small limits per class bite."""
    postprocess = SSDPostprocess(
        score, overlap, per_class, most, first_round, score_function=function, reserved_labels=(1,)
    )
    output = random_output(2, random_anchors(25, 90, seed), num_outputs=4, seed=seed, spread=0.5)
    ours = postprocess(output, (80, 100)).unpad()
    assert_same(ours, by_loops(postprocess, output, (80, 100)))
    assert not any((image.labels == 1).any() for image in ours)


def test_clutter_needs_further_rounds() -> None:
    """The best candidates of the first image are one object; the others come much later."""
    crowd = torch.tensor([10.0, 10, 50, 50]).expand(400, 4)
    others = random_anchors(20, 300, seed=2) + 60
    logits = torch.tensor([-2.0, -2.0, 2.0]).repeat(2, 420, 1)
    logits[0, :400, 0] = torch.linspace(6, 4, 400)
    logits[0, 400:, 1] = torch.linspace(3.5, 2.5, 20)
    logits[1, 5, 1] = 4.5
    output = DetectionOutput(logits, torch.zeros(2, 420, 4), torch.cat((crowd, others)))
    patient = SSDPostprocess(0.3, max_detections=10, first_round=10_000, candidates_per_class=1000)
    expected = patient(output, (400, 400)).unpad()
    assert len(expected[0].scores) == 10 and len(expected[1].scores) == 1
    assert (expected[0].labels == 0).sum() == 1
    for first_round in (1, 2, 20, 399):
        hasty = replace(patient, first_round=first_round)
        assert_same(hasty(output, (400, 400)).unpad(), expected, pixels=0)
    assert_same(expected, by_loops(patient, output, (400, 400)))


def test_reserved_labels_are_never_returned() -> None:
    output = random_output(2, random_anchors(50, 100, seed=0), num_outputs=6)
    output.class_logits[..., 2] += 20
    labels = SSDPostprocess(score_threshold=0.0, reserved_labels=(2, 4))(output, (100, 100)).labels
    assert set(labels.unique().tolist()) - {-1} == {0, 1, 3}


def test_no_detection_anywhere_and_no_image() -> None:
    output = random_output(3, random_anchors(30, 100, seed=0), num_outputs=5)
    batch = SSDPostprocess(score_threshold=1.0)(output, (100, 100))
    assert batch.boxes.shape == (3, 0, 4) and batch.num_detections.tolist() == [0, 0, 0]
    assert [len(image.scores) for image in batch.unpad()] == [0, 0, 0]
    none = SSDPostprocess()(random_output(0, output.anchors, num_outputs=5), (100, 100))
    assert none.boxes.shape == (0, 0, 4) and none.unpad() == []


def test_padding_convention_and_round_trip() -> None:
    output = random_output(3, random_anchors(40, 200, seed=3), num_outputs=4)
    output.class_logits[1, :, -1] = 50
    output.class_logits[2, 2:, -1] = 50
    batch = SSDPostprocess(score_threshold=0.05)(output, (200, 200))
    counts = batch.num_detections.tolist()
    assert counts[0] > counts[2] > counts[1] == 0 and batch.scores.shape[1] == counts[0]
    for i, count in enumerate(counts):
        assert (batch.scores[i, count:] == 0).all() and (batch.labels[i, count:] == -1).all()
        assert (batch.scores[i, :count] > 0.05).all() and (batch.labels[i, :count] >= 0).all()
    again = stack_detections(batch.unpad())
    assert isinstance(again, DetectionBatch)
    assert all(torch.equal(a, b) for a, b in zip(again, batch, strict=True))


def test_an_image_does_not_depend_on_its_batch() -> None:
    output = random_output(4, random_anchors(60, 200, seed=4), num_outputs=5)
    together = SSDPostprocess()(output, (200, 200)).unpad()
    for i, image in enumerate(together):
        one = DetectionOutput(output.class_logits[i : i + 1], output.box_deltas[i : i + 1], output.anchors)
        assert all(
            torch.equal(a, b)
            for a, b in zip(SSDPostprocess()(one, (200, 200)).unpad()[0], image, strict=True)
        )


def test_half_precision_is_taken() -> None:
    output = random_output(1, random_anchors(30, 100, seed=5), num_outputs=3)
    batch = SSDPostprocess()(DetectionOutput(*(x.bfloat16() for x in output[:2]), output.anchors), (100, 100))
    assert batch.boxes.dtype == batch.scores.dtype == torch.float32


def test_more_detections_than_candidates_are_reached() -> None:
    """400 boxes of a class side by side: 300 candidates would be the end of it."""
    x = torch.arange(400.0)
    anchors = torch.stack([x * 10, torch.zeros(400), x * 10 + 8, torch.full((400,), 8.0)], dim=1)
    logits = torch.stack([torch.linspace(5, 9, 400), torch.zeros(400)], dim=1)[None]
    output = DetectionOutput(logits, torch.zeros(1, 400, 4), anchors)
    found = SSDPostprocess().giving(400)(output, (8, 4000)).unpad()
    assert len(found[0].scores) == 400
    assert len(SSDPostprocess()(output, (8, 4000)).unpad()[0].scores) == 300
    assert SSDPostprocess(max_detections=100).giving(20) == SSDPostprocess(max_detections=20)


@pytest.mark.parametrize("name", ["max_detections", "candidates_per_class", "first_round"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "many"])
def test_limits_that_give_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*: give a whole number from 1 up"):
        SSDPostprocess(**{name: value})
