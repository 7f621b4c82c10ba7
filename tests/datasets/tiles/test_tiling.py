"""Covers core/resize.py, datasets/tiles/merging.py.

Tiles cover the image, and their results put together are the image's.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketvision.core.resize import Tiling
from pocketvision.core.structures import ArrayDetections, Detections, Window
from pocketvision.datasets.tiles import merging


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
@pytest.mark.parametrize(
    ("image_size", "tile"), [((300, 500), (128, 96)), ((128, 97), (128, 96)), ((40, 1000), (64, 64))]
)
def test_tiles_cover_the_image_and_overlap(
    image_size: tuple[int, int], tile: tuple[int, int], overlap: float
) -> None:
    windows = Tiling(tile, overlap).windows(image_size)
    covered = np.zeros(image_size, int)
    for top, left, height, width in windows:
        assert 0 <= top <= image_size[0] - height and 0 <= left <= image_size[1] - width
        assert (height, width) == (min(tile[0], image_size[0]), min(tile[1], image_size[1]))
        covered[top : top + height, left : left + width] += 1
    assert covered.min() == 1
    for axis, length in ((0, tile[0]), (1, tile[1])):
        starts = sorted({window[axis] for window in windows})
        assert all(b - a <= (1 - overlap) * length + 1 for a, b in pairwise(starts))


def test_tiles_begin_at_the_nearest_pixel_of_even_steps() -> None:
    windows = Tiling((64, 80), 0.3).windows((64, 211))
    assert [window.left for window in windows] == [0, 44, 87, 131]
    assert Tiling((16, 16)).overlap == 0.2


def test_an_image_that_fits_is_one_tile() -> None:
    assert Tiling((64, 80)).windows((64, 80)) == [(0, 0, 64, 80)]
    assert Tiling((640, 640)).windows((30, 50)) == [(0, 0, 30, 50)]


@pytest.mark.parametrize(("tile", "overlap"), [((15, 64), 0.2), ((64, 64), 0.9), ((64, 64), -0.1)])
def test_bad_values(tile: tuple[int, int], overlap: float) -> None:
    with pytest.raises(ValueError, match="give"):
        Tiling(tile, overlap)


def test_label_maps_come_from_the_nearest_middle() -> None:
    """A segmenter that is wrong along the inner edges of its tiles gives a map that is right everywhere."""
    whole = np.random.default_rng(0).integers(0, 9, (150, 211), dtype=np.uint8)
    windows = Tiling((64, 80), 0.3).windows((150, 211))
    parts = []
    for top, left, height, width in windows:
        part = whole[top : top + height, left : left + width].copy()
        margin = 6  # less than half of the overlap
        part[: margin if top else 0] = 99
        part[:, : margin if left else 0] = 99
        part[height - margin if top + height < 150 else height :] = 99
        part[:, width - margin if left + width < 211 else width :] = 99
        parts.append(part)
    np.testing.assert_array_equal(merging.merge_label_maps(parts, windows, (150, 211)), whole)


def merge_detections(
    parts: list[Detections], windows: list[Window], image_size: tuple[int, int], iou_threshold: float
) -> Detections:
    """As arrays, of which this file's tensors are easier to compute with."""
    arrays = [ArrayDetections(*(value.numpy() for value in part)) for part in parts]
    merged = merging.merge_detections(arrays, windows, image_size, iou_threshold)
    return Detections(*(torch.from_numpy(value) for value in merged))


def seen(boxes: Tensor, labels: Tensor, window: Window) -> Detections:
    """A perfect detector's answer in a window: what is in it, cut off at its edges."""
    top, left, height, width = window
    shifted = boxes - torch.tensor([left, top] * 2)
    clipped = torch.stack([shifted[:, 0::2].clamp(0, width), shifted[:, 1::2].clamp(0, height)], dim=2)
    x, y = clipped[..., 0], clipped[..., 1]
    clipped = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)
    area = (clipped[:, 2:] - clipped[:, :2]).prod(dim=1)
    keep = area > 20
    share = area[keep] / (boxes[keep, 2:] - boxes[keep, :2]).prod(dim=1)
    return Detections(clipped[keep], 0.5 + 0.4 * share, labels[keep])


def test_objects_on_seams_are_found_once() -> None:
    size = (300, 400)
    generator = torch.Generator().manual_seed(0)
    cells = [(y, x) for y in range(5, 250, 60) for x in range(5, 350, 60)]
    corners = torch.tensor(cells, dtype=torch.float32).flip(1) + torch.rand(
        len(cells), 2, generator=generator
    )
    boxes = torch.cat((corners, corners + 20 + 30 * torch.rand(len(cells), 2, generator=generator)), dim=1)
    boxes = torch.cat((boxes, torch.tensor([[2.0, 2, 398, 298]])))  # larger than any tile
    labels = torch.arange(len(boxes)) % 3
    windows = Tiling((128, 128), 0.2).windows(size)
    assert len(windows) > 6
    views = [*windows, Window(0, 0, *size)]
    parts = [seen(boxes, labels, view) for view in views]
    assert sum(len(part.scores) for part in parts) > 2 * len(boxes)
    merged = merge_detections(parts, views, size, 0.5)
    # Parts of the largest object that lie inside other tiles are parts of it, too.
    assert len(merged.scores) == len(boxes)
    order = torch.cdist(boxes, merged.boxes, p=float("inf")).min(dim=1)
    assert float(order.values.max()) < 1e-3 and len(order.indices.unique()) == len(boxes)
    assert torch.equal(merged.labels[order.indices], labels)
    assert (merged.scores.diff() <= 0).all()


def _sides(part: Detections) -> Tensor:
    """The shorter side of each box."""
    return (part.boxes[:, 2:] - part.boxes[:, :2]).amin(dim=1)


@pytest.mark.parametrize("overlap", [0.25, 0.4])
def test_a_cut_view_never_beats_a_whole_one(overlap: float) -> None:
    """Single objects on the tiles' borders, seen with errors of half a pixel and unrelated scores."""
    size, generator = (300, 400), torch.Generator().manual_seed(1)
    windows = Tiling((128, 128), overlap).windows(size)
    longest = 128 * overlap - 4  # so that some tile shows all of it, and none of it at its margin
    num_cut = 0
    for _ in range(300):
        sides = 10 + (longest - 10) * torch.rand(2, generator=generator)
        window = windows[int(torch.randint(len(windows), (1,), generator=generator))]
        corner = torch.tensor([window.left, window.top]) + 128 * (torch.rand(2, generator=generator) > 0.5)
        low = (corner - sides * torch.rand(2, generator=generator)).clamp(min=0)
        low = torch.minimum(low, torch.tensor([400.0, 300.0]) - sides)
        box = torch.cat((low, low + sides))[None]
        views = [seen(box, torch.zeros(1, dtype=torch.int64), view) for view in windows]
        views = [Detections(*(x[_sides(part) > 6] for x in part)) for part in views]
        parts = [
            part._replace(
                boxes=(part.boxes + torch.rand(part.boxes.shape, generator=generator) - 0.5).clamp(0, 128),
                scores=torch.rand(len(part.scores), generator=generator),
            )
            for part in views
        ]
        num_cut += sum(len(part.scores) for part in parts) > 1
        merged = merge_detections(parts, windows, size, 0.5)
        assert len(merged.scores) == 1
        assert (merged.boxes[0] - box[0]).abs().max() <= 2
    assert num_cut > 200


def test_the_whole_view_has_the_better_score_of_a_cut_one_that_it_replaces() -> None:
    parts = [
        Detections(torch.tensor([[70.0, 40, 100, 60]]), torch.tensor([0.9]), torch.zeros(1)),
        Detections(
            torch.tensor([[20.0, 40, 55, 60], [60, 5, 90, 25]]), torch.tensor([0.3, 0.5]), torch.zeros(2)
        ),
    ]
    merged = merge_detections(parts, [Window(0, 0, 100, 100), Window(0, 50, 100, 100)], (100, 150), 0.5)
    assert merged.boxes.tolist() == [[70, 40, 105, 60], [110, 5, 140, 25]]
    assert merged.scores.tolist() == pytest.approx([0.9, 0.5])


def test_a_score_is_taken_only_from_what_nms_drops() -> None:
    """An IoU of exactly the threshold: both pass NMS, and the cut one is dropped as a part of the other."""
    parts = [
        Detections(torch.tensor([[60.0, 40, 100, 60]]), torch.tensor([0.9]), torch.zeros(1)),
        Detections(torch.tensor([[10.0, 40, 90, 60]]), torch.tensor([0.3]), torch.zeros(1)),
    ]
    merged = merge_detections(parts, [Window(0, 0, 100, 100), Window(0, 50, 100, 100)], (100, 150), 0.5)
    assert merged.boxes.tolist() == [[60, 40, 140, 60]] and merged.scores.tolist() == pytest.approx([0.3])


IMAGE, WHOLE_VIEW, INNER = (300, 400), Window(0, 0, 300, 400), Window(50, 60, 100, 200)
LARGE = [5.0, 5.0, 395.0, 295.0]


def stays_beside_a_larger_one(
    box: list[float], window: Window, label: int = 0, large: list[float] = LARGE
) -> bool:
    """Whether ``box``, in pixels of ``window``, is kept beside a larger box of class 0, seen in the whole."""
    parts = [
        Detections(torch.tensor([large]), torch.tensor([0.9]), torch.tensor([0])),
        Detections(torch.tensor([box]), torch.tensor([0.5]), torch.tensor([label])),
    ]
    merged = merge_detections(parts, [WHOLE_VIEW, window], IMAGE, 0.5)
    assert merged.boxes[0].tolist() == large and len(merged.scores) <= 2
    return len(merged.scores) == 2


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ([2.0, 40, 60, 60], [2.1, 40, 60, 60]),  # within a hundredth of the tile's width of its left edge
        ([40, 1.0, 60, 60], [40, 1.1, 60, 60]),
        ([40, 40, 198.0, 60], [40, 40, 197.9, 60]),
        ([40, 40, 60, 99.0], [40, 40, 60, 98.9]),
    ],
)
def test_boxes_near_a_tile_s_edge_may_be_cut(cut: list[float], whole: list[float]) -> None:
    """At the image's own edges nothing is cut, and parts of other classes are none."""
    assert not stays_beside_a_larger_one(cut, INNER) and stays_beside_a_larger_one(whole, INNER)
    assert stays_beside_a_larger_one(cut, INNER, label=1)
    at_image_edges = [Window(0, 0, 100, 200), Window(200, 0, 100, 200), Window(0, 200, 100, 200)]
    at_image_edges.append(Window(200, 200, 100, 200))
    stays = [stays_beside_a_larger_one(cut, window) for window in at_image_edges]
    assert sorted(stays) == [False, False, True, True], "two of four have the image's edge on that side"


@pytest.mark.parametrize(
    ("large", "stays"),
    [
        ([60.0, 50, 260, 150], False),  # all of it
        ([78.0, 50, 260, 150], False),  # 71 of 100 columns...
        ([79.0, 50, 260, 150], True),  # ...and 70.
        ([60.0, 85, 260, 150], True),  # half of its rows
        ([200.0, 50, 260, 150], True),  # beside it
        ([60.0, 120, 260, 150], True),  # below it
    ],
)
def test_a_cut_box_is_a_part_where_it_lies_mostly_within_another(large: list[float], stays: bool) -> None:
    """The box is 100 wide; in the image it is at (49, 80) to (149, 90)."""
    window = Window(60, 49, 100, 200)
    assert stays_beside_a_larger_one([0.0, 20, 100, 30], window, large=large) == stays


def test_a_thin_box_beside_another_is_no_part_of_it() -> None:
    assert stays_beside_a_larger_one([0.0, 20, 1.2, 80], INNER, large=[62.0, 60, 260, 150])


def test_a_cut_box_without_a_larger_one_stays() -> None:
    found = Detections(torch.tensor([[0.0, 20, 30, 40]]), torch.tensor([0.5]), torch.tensor([0]))
    merged = merge_detections([found], [INNER], IMAGE, 0.5)
    assert merged.boxes.tolist() == [[60, 70, 90, 90]]


def test_whole_objects_within_larger_ones_stay() -> None:
    parts = [
        Detections(
            torch.tensor([[10.0, 10, 90, 90], [30, 30, 50, 50]]), torch.tensor([0.9, 0.8]), torch.zeros(2)
        )
    ]
    assert len(merge_detections(parts, [Window(0, 0, 100, 100)], (100, 100), 0.5).scores) == 2
    empty = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert len(merge_detections([empty], [Window(0, 0, 100, 100)], (100, 100), 0.5).scores) == 0
