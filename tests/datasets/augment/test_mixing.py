from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, DetectionAugmentation, DetectionDataset, read_coco
from pocketvision.datasets.augment.mixing import (
    Annotated,
    MixedSample,
    _free_place,
    _tile_window,
    copy_paste,
    mixup,
    mosaic,
    view,
)
from pocketvision.datasets.images.picture import Pixels

RESIZE = Resize((96, 120))
GREEN = (0, 255, 0)


def scene(level: int) -> Annotated:
    """A black image of which two boxes are filled with red of ``level``; their label is level // 50."""
    image = np.zeros((160, 200, 3), dtype=np.uint8)
    boxes = np.array([[20, 10, 80, 90], [120, 80, 190, 150]], dtype=np.float32)
    for left, top, right, bottom in boxes.astype(int):
        image[top:bottom, left:right, 0] = level
    return Annotated(Pixels(image), boxes, np.full(2, level // 50))


def assert_boxes_are_filled(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> None:
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        inside = image[round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
        assert inside.size == 0 or (
            np.abs(np.median(inside[..., 0]) - 50 * label) <= 6 and inside[..., 1].max() < 20
        )


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_boxes_cut_by_a_fractional_window_reach_as_far_as_what_is_shown(mode: str) -> None:
    """Windows of a few pixels, enlarged twenty times: half a source pixel is ten pixels of the view."""
    resize, rng = Resize((96, 120), mode=mode, interpolation="nearest"), np.random.default_rng(0)  # type: ignore[arg-type]
    num_cut = 0
    for _ in range(60):
        left, top = rng.uniform(46, 50), rng.uniform(46, 50)
        window = left, top, left + rng.uniform(4, 9), top + rng.uniform(4, 9)
        image, boxes, _ = view(scene(250), window, resize, GREEN)
        for box in boxes:
            rows, columns = np.nonzero(image[..., 0] > 127)
            shown = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(box, shown, atol=0.51)
            num_cut += 1
    assert num_cut == 60


def test_boxes_of_a_mosaic_are_on_their_objects() -> None:
    levels = (100, 150, 200, 250)
    seen, filled = set(), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        image, boxes, labels = mosaic([scene(level) for level in levels], RESIZE, GREEN, rng)
        assert image.shape == (96, 120, 3) and boxes.dtype == np.float32
        assert (boxes >= 0).all() and (boxes <= (120, 96, 120, 96)).all()
        assert_boxes_are_filled(image, boxes, labels)
        total = (image[..., 0] > 60).sum()  # objects whose center is outside their quarter have no box
        assert total >= 0.7 * ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)).sum()
        seen |= set(labels.tolist())
        filled += (image == GREEN).all(axis=2).any()
    assert seen == {2, 3, 4, 5} and filled > 0


def test_images_smaller_than_their_quarters_meet_in_the_middle() -> None:
    """What is filled up lies at the outside: around the point where four images meet there is no green."""
    resize = Resize((96, 120))
    rng = np.random.default_rng(0)
    filled = np.zeros(4)
    for _ in range(60):
        image, _, _ = mosaic([scene(level) for level in (100, 150, 200, 250)], resize, GREEN, rng)
        green = (image == GREEN).all(axis=2)
        # Centers lie between .3 and .7, and images have half their size at least.
        inner = green[22:74, 28:92]
        assert not inner.any()
        filled += [green[:2].any(), green[-2:].any(), green[:, :2].any(), green[:, -2:].any()]
    assert (filled > 5).all()


def test_boxes_far_from_a_place_do_not_count_as_hidden() -> None:
    """Apart in both directions, the product of the two distances is no area."""
    boxes = np.array([[0, 0, 10, 10]], dtype=np.float32)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        place = _free_place(boxes + 200, (20, 20), (100, 100), rng)
        assert place is not None
        expected = np.random.default_rng(seed)
        top, left = (int(expected.integers(81)) for _ in range(2))
        assert place == (left, top, left + 20, top + 20), "the first place is free"
    crowded = np.array([[0, 0, 100, 100]], dtype=np.float32)
    assert _free_place(crowded, (60, 60), (100, 100), np.random.default_rng(0)) is None
    assert _free_place(crowded, (54, 54), (100, 100), np.random.default_rng(0)) is not None


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
@pytest.mark.parametrize("tile", [(30, 90), (66, 40)])
def test_quarters_show_images_at_half_to_whole_size(tile: tuple[int, int], mode: str) -> None:
    resize, size, rng = Resize((96, 120), mode=mode), (160, 300), np.random.default_rng(0)  # type: ignore[arg-type]
    factors = []
    for _ in range(200):
        left, top, right, bottom = _tile_window(size, tile, resize, (True, False), rng)
        across, down = tile[1] / (right - left), tile[0] / (bottom - top)
        rows, columns = resize.content_size(size)
        factors.append(across / (columns / 300))
        assert down / (rows / 160) == pytest.approx(factors[-1])
        assert (left >= 0 and right <= 300) if right - left <= 300 else right == pytest.approx(300)
        assert (top >= 0 and bottom <= 160) if bottom - top <= 160 else top == 0
    assert 0.5 <= min(factors) < 0.52 and 0.98 < max(factors) <= 1


def test_mixup_is_the_mean_with_all_boxes() -> None:
    one = MixedSample(np.full((4, 4, 3), 100, np.uint8), np.zeros((1, 4), np.float32), np.array([3]))
    two = MixedSample(np.full((4, 4, 3), 200, np.uint8), np.ones((2, 4), np.float32), np.array([4, 5]))
    image, boxes, labels = mixup(one, two)
    assert (image == 150).all() and len(boxes) == 3 and labels.tolist() == [3, 4, 5]


def test_pasted_boxes_are_on_their_objects_and_leave_others_visible() -> None:
    plain = RESIZE.apply(scene(100).picture.read().pixels)
    before = plain.copy()
    own = scene(100).boxes * np.float32(0.6)
    counts = []
    for seed in range(30):
        sample = MixedSample(plain, own, np.array([2, 2]))
        image, boxes, labels = copy_paste(sample, scene(250), RESIZE, GREEN, np.random.default_rng(seed))
        assert (plain == before).all(), "it may be shared: not written to"
        assert labels.tolist() == [2, 2] + [5] * (len(boxes) - 2)
        assert_boxes_are_filled(image, boxes[2:][-1:], labels[2:][-1:])
        for left, top, right, bottom in own.round().astype(int):
            assert (image[top:bottom, left:right, 0] < 200).mean() > 0.35
        counts.append(len(boxes) - 2)
    assert max(counts) == 2 and sum(counts) > 10


def module(root: Path, **options: Any) -> CocoDataModule:
    augmentation = DetectionAugmentation(**options)
    data = CocoDataModule(root, batch_size=4, num_workers=0, augmentation=augmentation)
    data.connect(data.class_names(), Resize((64, 64)))
    return data


def test_mixing_ends_before_the_training_does(coco: Callable[..., Path]) -> None:
    root = coco()
    plain, mixed = module(root), module(root, mosaic=1.0, mixup=0.5, copy_paste=0.5, close_epochs=2)
    one, two = (x.train_dataloader(max_epochs=5).dataset for x in (plain, mixed))
    same = [all((one[epoch, i][0] == two[epoch, i][0]).all() for i in range(4)) for epoch in range(5)]
    assert same == [False, False, False, True, True]
    image, target = two[0, 3]
    assert image.shape == (3, 64, 64) and len(target.boxes) == len(target.labels)
    assert (two[0, 3][0] == image).all()
    assert sum(len(two[0, i][1].boxes) for i in range(4)) > 3  # the images have three boxes in all


def test_nothing_is_mixed_by_default(coco: Callable[..., Path]) -> None:
    dataset = DetectionDataset(read_coco(coco(), "train"), RESIZE, DetectionAugmentation())
    assert not dataset.augmentation.mixes and dataset._partners(0, 0) is None


@pytest.mark.parametrize("option", ["mosaic", "mixup", "copy_paste"])
def test_background_images_can_be_mixed(coco: Callable[..., Path], option: str) -> None:
    root = coco(lambda content: content["annotations"].clear())
    dataset = module(root, **{option: 1.0}).train_dataloader().dataset
    image, target = dataset[0, 0]
    assert image.shape == (3, 64, 64) and target.boxes.shape == (0, 4) and target.labels.shape == (0,)


@pytest.mark.parametrize(
    ("limits", "close_from"),
    [
        ({"max_epochs": 30}, 20),
        ({"max_epochs": 12}, 6),
        ({"max_epochs": 1}, 1),
        ({"max_steps": 30}, 20),
        ({"max_steps": 24, "max_epochs": -1}, 14),
        ({"max_steps": 7, "max_epochs": 30}, 4),
        ({"max_steps": -1, "max_epochs": None}, None),
    ],
)
def test_mixing_is_used_in_short_runs_and_ends_in_those_limited_by_steps(
    coco: Callable[..., Path], limits: dict[str, Any], close_from: int | None
) -> None:
    """Four images are an epoch of one step; a run never closes more than half of its epochs."""
    data = module(coco(), mosaic=1.0)
    assert data.train_dataloader(**limits).dataset.close_from == close_from
    data.batch_size = 2
    assert data.train_dataloader(2, **limits).dataset.close_from == close_from


def test_places_are_the_first_of_eight_that_hide_little_by_counting_pixels() -> None:
    taken = []
    for seed in range(120):
        rng = np.random.default_rng(1000 + seed)
        corners = rng.integers(0, 36, (14, 2))
        boxes = np.concatenate((corners, corners + rng.integers(1, 12, (14, 2))), axis=1)
        draws, expected = np.random.default_rng(seed), None
        for number in range(8):
            top, left = int(draws.integers(41 - 9)), int(draws.integers(51 - 14))
            is_hidden = np.zeros((60, 60))
            is_hidden[top : top + 9, left : left + 14] = 1
            if all(is_hidden[y1:y2, x1:x2].mean() <= 0.3 for x1, y1, x2, y2 in boxes):
                expected = left, top, left + 14, top + 9
                taken.append(number)
                break
        found = _free_place(boxes.astype(np.float32), (9, 14), (40, 50), np.random.default_rng(seed))
        assert found == expected
    assert 60 < len(taken) < 120 and max(taken) == 7


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_pasted_boxes_have_half_to_one_and_a_half_times_their_size(mode: str) -> None:
    """Rounded to whole pixels, and pasted from 4 pixels to half of the picture."""
    resize, sides = Resize((96, 120), mode=mode), set()  # type: ignore[arg-type]
    pixels = np.zeros((160, 200, 3), dtype=np.uint8)
    empty = MixedSample(resize.apply(pixels), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for box in ([10, 20, 18, 60], [10, 20, 60, 28], [10, 20, 80, 130], [10, 20, 110, 70]):
        other = Annotated(Pixels(pixels), np.array([box], np.float32), np.array([1]))
        for seed in range(60):
            rng = np.random.default_rng(seed)
            rng.permutation(1)
            factor = rng.uniform(0.5, 1.5)
            rows, columns = resize.content_size((160, 200))
            height = round((box[3] - box[1]) * factor * rows / 160)
            width = round((box[2] - box[0]) * factor * columns / 200)
            _, boxes, _ = copy_paste(empty, other, resize, GREEN, np.random.default_rng(seed))
            is_wanted = 4 <= height <= rows / 2 and 4 <= width <= columns / 2
            found = (boxes[:, 2:] - boxes[:, :2]).tolist()
            assert found == ([[width, height]] if is_wanted else [])
            sides |= {(side, is_wanted) for side in (height, width)}
    assert {(4, True), (3, False), (48, True)} <= sides


@pytest.mark.parametrize("sides", [(2, 2), (3, 2), (2, 5)])
def test_the_smallest_inputs_have_four_quarters(sides: tuple[int, int]) -> None:
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    levels = (50, 100, 150, 200)
    plain = [Annotated(Pixels(np.full((8, 8, 3), level, np.uint8)), boxes, labels) for level in levels]
    for seed in range(5):
        image = mosaic(plain, Resize(sides), GREEN, np.random.default_rng(seed)).image
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        for corner, level in zip(corners, levels, strict=True):
            assert corner.tolist() in ([level] * 3, list(GREEN))


def test_a_mosaic_is_of_four() -> None:
    for count in (3, 5):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            mosaic([scene(100)] * count, RESIZE, GREEN, np.random.default_rng(0))
