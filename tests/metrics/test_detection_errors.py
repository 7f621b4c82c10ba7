"""Covers metrics/detection_overlaps.py.

TIDE's errors against hotcoco's, which follow the authors' code, and on single cases.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvision.metrics.coco_arrays import Found, Truth
from pocketvision.metrics.coco_matching import match
from pocketvision.metrics.detection_analysis import confusion
from pocketvision.metrics.detection_errors import ERRORS, detection_errors

Problem = Callable[..., tuple[Truth, Found]]
TIDE_NAMES = dict(zip(ERRORS, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_equals_tide(coco_problem: Problem, seed: int) -> None:
    import hotcoco

    truth, found = coco_problem(seed, num_images=25, crowd=0)
    truth = truth._replace(ids=np.arange(1, len(truth.ids) + 1))
    found = found._replace(scores=np.random.default_rng(seed).permutation(len(found.scores)) / 1e4)
    errors = detection_errors(truth, found, match(truth, found, 3))
    dataset = hotcoco.COCO(
        {
            "images": [{"id": i} for i in range(25)],
            "categories": [{"id": i, "name": str(i)} for i in range(3)],
            "annotations": [
                dict(zip(("image_id", "category_id", "bbox", "area", "iscrowd", "id"), row, strict=True))
                for row in zip(*((values * 1).tolist() for values in truth), strict=True)
            ],
        }
    )  # fmt: skip
    results = np.column_stack([found.images, found.boxes, found.scores, found.categories])
    evaluation = hotcoco.COCOeval(dataset, dataset.load_res(results), "bbox")
    evaluation.evaluate()
    expected = evaluation.tide_errors()
    for name, short in TIDE_NAMES.items():
        assert errors[name].number == expected["counts"][short], name
        assert errors[name].dap50 == pytest.approx(expected["delta_ap"][short], abs=1e-9), name
    assert sum(row.number > 0 for row in errors.values()) >= 5


def one_image(boxes: list[list[float]], rows: list[tuple[list[float], int, float]]) -> dict[str, int]:
    """Counts of errors of (box, class, score) where ``boxes`` are of class 0."""
    size = len(boxes)
    truth = Truth(
        np.zeros(size, int), np.zeros(size, int), np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.full(size, 100.0), np.zeros(size, bool), np.arange(1, size + 1),
    )  # fmt: skip
    found = Found(
        np.zeros(len(rows), int), np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[0] for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row[2] for row in rows]),
    )  # fmt: skip
    errors = detection_errors(truth, found, match(truth, found, 2))
    return {name: row.number for name, row in errors.items() if row.number}


BOX = [0.0, 0.0, 10.0, 10.0]
HALF = [0.0, 0.0, 10.0, 4.0]
FAR = [90.0, 90.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(BOX, 0, 0.9)], {}),
        ([(BOX, 1, 0.9)], {"class": 1}),
        ([(HALF, 0, 0.9)], {"location": 1}),
        ([(HALF, 1, 0.9)], {"both": 1, "missed": 1}),
        ([(BOX, 0, 0.9), (BOX, 0, 0.8)], {"duplicate": 1}),
        ([(BOX, 0, 0.9), (FAR, 0, 0.8)], {"background": 1}),
        ([(FAR, 0, 0.8)], {"background": 1, "missed": 1}),
    ],
)
def test_single_cases(rows: list[tuple[list[float], int, float]], expected: dict[str, int]) -> None:
    assert one_image([BOX], rows) == expected


@pytest.mark.parametrize("meant", [0, 1])
def test_the_repair_of_the_only_detection_gives_all_of_its_box(meant: int) -> None:
    """Class 1 has no truth and no part in the mean; of the second box the first is not missed as well."""
    boxes = np.array([BOX, FAR])
    zeros = np.zeros(2, int)
    truth = Truth(zeros, zeros, boxes, zeros + 100.0, zeros > 0, np.array([1, 2]))
    found = Found(zeros[:1], zeros[:1] + 1, boxes[[meant]], np.array([0.9]))
    errors = detection_errors(truth, found, match(truth, found, 2))
    assert errors["class"].number == 1
    assert errors["class"].dap50 == pytest.approx(51 / 101), "one of two boxes: recalls up to 0.5"
    assert errors["missed"].number == 1


def test_without_truth_all_is_background() -> None:
    """Of classes that the split hasn't: what is found is false, and no AP can be given back."""
    assert one_image([], [(BOX, 0, 0.9), (FAR, 1, 0.8)]) == {"background": 2}
    assert one_image([], []) == {}


@given(st.integers(0, 10**6), st.integers(0, 20), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=25, deadline=None)
def test_every_detection_and_box_has_one_fate(
    coco_problem: Problem, seed: int, num_found: int, crowd: float
) -> None:
    """With crowds, an annotation with id 0, and without detections or truth."""
    truth, found = coco_problem(seed, num_images=seed % 9 + 1, num_found=num_found, crowd=crowd)
    matches = match(truth, found, 4)
    errors = detection_errors(truth, found, matches)
    first = np.uint64(1)
    num_false = int(((matches.counted & first) & ~matches.hits & first).sum())
    assert sum(row.number for name, row in errors.items() if name != "missed") == num_false
    num_hits = int((matches.hits & first).sum())
    assert errors["missed"].number <= int((~truth.crowd).sum()) - num_hits
    assert all(0 <= row.dap50 <= 1 for row in errors.values())
    matrix = confusion(truth, found, matches, np.zeros(4))
    assert matrix[:4].sum() == (~truth.crowd).sum() and matrix.trace() == num_hits
