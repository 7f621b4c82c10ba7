"""Covers losses/assignment.py, losses/lowest_cost.py, losses/nearest_centers.py, losses/task_aligned.py.

Assigners against brute force, truth by truth and point by point, on random problems with ties."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketvision.core.anchors import CellAnchors, ExplicitAnchors
from pocketvision.core.boxes import box_iou
from pocketvision.losses import ATSSAssigner, DynamicSoftLabelAssigner, SimOTAAssigner, TaskAlignedAssigner
from pocketvision.losses.assignment import Assignment, FirstMatcher, Predicted, Truths
from pocketvision.losses.nearest_centers import map_lengths

ASSIGNERS = (
    TaskAlignedAssigner(),
    DynamicSoftLabelAssigner(),
    SimOTAAssigner(center_radius=2.5),
    ATSSAssigner(),
    TaskAlignedAssigner(normalized=True),
    DynamicSoftLabelAssigner(normalized=True),
    SimOTAAssigner(center_radius=2.5, normalized=True),
    ATSSAssigner(normalized=True),
)
NAMES = [f"{type(it).__name__}{'-normalized' * it.normalized}" for it in ASSIGNERS]
NUM_CLASSES = 3


def problem(seed: int, counts: list[int], size: int = 64) -> tuple[Predicted, Truths]:
    """Points of two maps; ``counts[i]`` truths on image i, some smaller than a cell, some twice."""
    rng = torch.Generator().manual_seed(seed)
    anchors = CellAnchors()([(size // 8, size // 8), (size // 16, size // 16)], (size, size))
    num_points, most = len(anchors), max(counts)

    def boxes(number: int, smallest: float) -> Tensor:
        center = torch.rand(number, 2, generator=rng) * size
        half = smallest + torch.rand(number, 2, generator=rng) * size / 4
        return torch.cat((center - half, center + half), dim=1)

    truth = torch.zeros(len(counts), most, 4)
    is_box = torch.zeros(len(counts), most, dtype=torch.bool)
    for image, count in enumerate(counts):
        truth[image, :count], is_box[image, :count] = boxes(count, 0.5), True
        if count > 2:
            truth[image, 1] = truth[image, 0]
    labels = torch.randint(NUM_CLASSES, (len(counts), most), generator=rng)
    # Ties are copies: costs that are equal only on paper, as of rearranged scores, round differently.
    said = torch.rand(8, NUM_CLASSES, generator=rng)
    scores = said[torch.randint(len(said), (len(counts), num_points), generator=rng)]
    predicted = torch.stack([boxes(num_points, 2.0) for _ in counts])
    if most:  # some boxes are found well
        for image, count in enumerate(counts):
            hits = torch.randint(num_points, (count,), generator=rng)
            predicted[image, hits] = truth[image, :count] + torch.randn(count, 4, generator=rng)
    return Predicted(scores.clamp(0.01, 0.99), predicted, anchors), Truths(truth, labels, is_box)


def centers_of(anchors: Tensor) -> list[tuple[float, float]]:
    return [((a + c) / 2, (b + d) / 2) for a, b, c, d in anchors.tolist()]


def inside(anchors: Tensor, boxes: Tensor) -> list[set[int]]:
    """Points in each truth, or the nearest."""
    centers, found = centers_of(anchors), []
    for left, top, right, bottom in boxes.tolist():
        points = {p for p, (x, y) in enumerate(centers) if left < x < right and top < y < bottom}
        middle = ((left + right) / 2, (top + bottom) / 2)
        nearest = min(range(len(centers)), key=lambda p: math.dist(centers[p], middle))
        found.append(points or {nearest})
    return found


def task_aligned(it: TaskAlignedAssigner, predicted: Predicted, truths: Truths, image: int) -> dict[int, Any]:
    boxes = truths.boxes[image][truths.is_box[image]]
    iou = box_iou(boxes, predicted.boxes[image])
    scores = predicted.scores[image][:, truths.labels[image, : len(boxes)]].T
    metric = (scores**it.alpha * iou**it.beta).tolist()
    wanted: dict[int, list[int]] = {}
    for truth, points in enumerate(inside(predicted.anchors, boxes)):
        ranked = sorted(points, key=lambda p: (-metric[truth][p], p))
        for p in ranked[: it.num_candidates]:
            wanted.setdefault(p, []).append(truth)
    owner = {p: max(candidates, key=lambda t: (float(iou[t, p]), -t)) for p, candidates in wanted.items()}
    result = {}
    for p, truth in owner.items():
        own = [q for q, t in owner.items() if t == truth]
        most, best = max(metric[truth][q] for q in own), max(float(iou[truth, q]) for q in own)
        result[p] = (truth, metric[truth][p] / max(most, 1e-9) * best)
    return result


def by_cost(it: Any, predicted: Predicted, truths: Truths, image: int) -> dict[int, Any]:
    """Both assigners that take the cheapest points."""
    boxes = truths.boxes[image][truths.is_box[image]]
    iou = box_iou(boxes, predicted.boxes[image])
    centers, within = centers_of(predicted.anchors), inside(predicted.anchors, boxes)
    radius = getattr(it, "center_radius", None)

    def is_near(truth: int, p: int) -> bool:
        left, top, right, bottom = boxes[truth].tolist()
        side = float(predicted.anchors[p, 2] - predicted.anchors[p, 0])
        x, y = centers[p]
        return (
            radius is not None
            and max(abs((left + right) / 2 - x), abs((top + bottom) / 2 - y)) < radius * side
        )

    def cost(truth: int, p: int) -> float:
        total = 0.0
        for k, score in enumerate(predicted.scores[image, p].tolist()):
            is_own = k == int(truths.labels[image, truth])
            aim = float(is_own) * (float(iou[truth, p]) if radius is None else 1.0)
            entropy = -(aim * math.log(max(score, 1e-12)) + (1 - aim) * math.log(max(1 - score, 1e-12)))
            total += entropy * ((aim - score) ** 2 if radius is None else 1.0)
        total -= it.iou_weight * math.log(max(float(iou[truth, p]), 1e-7))
        good = radius is None or (p in within[truth] and is_near(truth, p))
        return total + 1e5 * (not good)

    numbers = range(len(boxes))
    points = [p for p in range(len(centers)) if any(p in within[t] or is_near(t, p) for t in numbers)]
    taken: dict[int, list[tuple[float, int]]] = {}
    for truth in numbers:
        best = sorted((float(iou[truth, p]) for p in points), reverse=True)[: it.num_ious]
        for p in sorted(points, key=lambda p: (cost(truth, p), p))[: max(1, int(sum(best)))]:
            taken.setdefault(p, []).append((cost(truth, p), truth))
    return {p: (min(pairs)[1], float(iou[min(pairs)[1], p])) for p, pairs in taken.items()}


def nearest_centers(it: ATSSAssigner, predicted: Predicted, truths: Truths, image: int) -> dict[int, Any]:
    boxes = truths.boxes[image][truths.is_box[image]]
    iou, said = box_iou(boxes, predicted.anchors).tolist(), box_iou(boxes, predicted.boxes[image])
    centers, wanted = centers_of(predicted.anchors), dict[int, list[int]]()
    widths = (predicted.anchors[:, 2] - predicted.anchors[:, 0]).tolist()
    for truth, points in enumerate(inside(predicted.anchors, boxes)):
        left, top, right, bottom = boxes[truth].tolist()
        candidates = list[int]()
        for width in set(widths):  # each map has a width of its own here
            own = [p for p, it in enumerate(widths) if it == width]
            middle = ((left + right) / 2, (top + bottom) / 2)
            own.sort(key=lambda p: (math.dist(centers[p], middle), p))
            candidates += own[: it.num_candidates]
        values = [iou[truth][p] for p in candidates]
        least = statistics.fmean(values) + statistics.stdev(values)
        found = [p for p in candidates if p in points and iou[truth][p] >= least]
        for p in found or [min(points, key=lambda p: (-iou[truth][p], p))]:
            wanted.setdefault(p, []).append(truth)
    owner = {p: max(them, key=lambda t: (iou[t][p], -t)) for p, them in wanted.items()}
    return {p: (truth, float(said[truth, p])) for p, truth in owner.items()}


def best_is_one(found: dict[int, Any]) -> dict[int, Any]:
    """Qualities relative to the truth's best; 1 where that is 0."""
    best = {truth: max(q for t, q in found.values() if t == truth) for truth, _ in found.values()}
    return {p: (t, q / best[t] if best[t] > 0 else 1.0) for p, (t, q) in found.items()}


def check(assigner: Any, predicted: Predicted, truths: Truths) -> None:
    references: dict[type, Any] = {TaskAlignedAssigner: task_aligned, ATSSAssigner: nearest_centers}
    reference = references.get(type(assigner), by_cost)
    matches, quality = assigner(predicted, truths)
    for image in range(len(truths.is_box)):
        expected = reference(assigner, predicted, truths, image)
        if assigner.normalized:
            expected = best_is_one(expected)
        points = (matches[image] >= 0).nonzero().flatten().tolist()
        found = {p: (int(matches[image, p]), float(quality[image, p])) for p in points}
        assert found.keys() == expected.keys()
        for p, (truth, score) in expected.items():
            assert found[p][1] == pytest.approx(score, abs=2e-5)
            same = truths.boxes[image, found[p][0]].equal(truths.boxes[image, truth])
            assert found[p][0] == truth or same
        assert not quality[image][matches[image] < 0].any()


@pytest.mark.parametrize("assigner", ASSIGNERS, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), counts=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_brute_force(assigner: Any, seed: int, counts: list[int]) -> None:
    check(assigner, *problem(seed, counts))


@pytest.mark.parametrize("assigner", ASSIGNERS, ids=NAMES)
def test_two_hundred_truths(assigner: Any) -> None:
    check(assigner, *problem(7, [200, 0], size=128))


@pytest.mark.parametrize("assigner", ASSIGNERS, ids=NAMES)
def test_no_truths(assigner: Any) -> None:
    predicted, truths = problem(1, [0, 0])
    found: Assignment = assigner(predicted, truths)
    assert (found.matches == -1).all() and not found.quality.any()
    assert found.matches.shape == (2, len(predicted.anchors)) and found.matches.dtype == torch.int64


@pytest.mark.parametrize("assigner", ASSIGNERS[:4], ids=lambda a: type(a).__name__)
def test_the_first_matches_are_those_of_anchors_as_boxes(assigner: Any) -> None:
    predicted, truths = problem(3, [4, 0, 2])
    num_images, num_points, _ = predicted.scores.shape
    ignorant = Predicted(
        torch.full((num_images, num_points, NUM_CLASSES), 0.5),
        predicted.anchors.repeat(num_images, 1, 1),
        predicted.anchors,
    )
    expected = assigner(ignorant, truths).matches
    assert torch.equal(FirstMatcher(assigner)(truths.boxes, truths.is_box, predicted.anchors), expected)
    assert (expected[0] >= 0).any() and (expected[1] == -1).all()


@pytest.mark.parametrize("sizes", [[(8, 8), (4, 4)], [(1, 3), (1, 1)], [(5, 2), (1, 4), (2, 1)], [(1, 1)]])
@pytest.mark.parametrize("shapes", [((0.3, 0.3),), ((0.3, 0.3), (0.5, 0.2))])
def test_maps_are_told_apart_by_their_points(
    sizes: list[tuple[int, int]], shapes: tuple[tuple[float, float], ...]
) -> None:
    anchors = ExplicitAnchors((shapes,) * len(sizes))(sizes, (320, 240))
    lengths = map_lengths((anchors[:, :2] + anchors[:, 2:]) / 2)
    assert lengths == [rows * columns * len(shapes) for rows, columns in sizes]
