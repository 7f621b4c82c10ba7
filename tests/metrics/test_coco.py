"""COCO AP against pycocotools alone, against a plain AP, and over any batching, order and sharding."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Detections
from pocketvision.metrics import CocoMetric

CATEGORY_IDS = (5, 90, 2)
NAMES = ("cat", "dog", "bird")
IMAGE_IDS = (42, 7, 139, 1000)
SUMMARY = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
Images = dict[int, Detections]


def truth_of(annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO instances file with gaps in its category ids and a category that no model knows."""
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 200, "width": 200} for i in IMAGE_IDS],
        "categories": [
            {"id": i, "name": n} for i, n in zip((*CATEGORY_IDS, 77), (*NAMES, "cow"), strict=True)
        ],
        "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations, start=1)],
    }


def annotation(
    image_id: int, category_id: int, box: tuple[float, float, float, float], crowd: int = 0
) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    xywh = [x1, y1, x2 - x1, y2 - y1]
    area = xywh[2] * xywh[3]
    return {"image_id": image_id, "category_id": category_id, "bbox": xywh, "area": area, "iscrowd": crowd}


def detections(rows: list[tuple[list[float], float, int]]) -> Detections:
    """From (xyxy, score, label) rows."""
    return Detections(
        torch.tensor([row[0] for row in rows]).reshape(-1, 4),
        torch.tensor([row[1] for row in rows], dtype=torch.float32),
        torch.tensor([row[2] for row in rows], dtype=torch.int64),
    )


def random_problem(seed: int, num_boxes: int = 12) -> tuple[dict[str, Any], Images]:
    """Truth with crowds of all sizes; detections near it, with equal scores and boxes among them."""
    random = np.random.default_rng(seed)
    annotations, images = [], {}
    for image_id in IMAGE_IDS[:3]:  # the last image has neither truth nor detections
        rows = []
        for _ in range(random.integers(0, num_boxes)):
            x, y = random.integers(0, 100, 2)
            w, h = random.choice([8, 20, 50, 100], 2)
            label, crowd = int(random.integers(0, 3)), int(random.random() < 0.15)
            box = (float(x), float(y), float(x + w), float(y + h))
            annotations.append(annotation(image_id, (*CATEGORY_IDS, 77)[random.integers(0, 4)], box, crowd))
            for _ in range(random.integers(0, 4)):
                near = np.array(box) + random.normal(0, 2, 4).round(int(random.integers(0, 3)))
                rows.append((near.tolist(), float(random.integers(1, 6)) / 7, label))
        images[image_id] = detections(rows + rows[:2])
    return truth_of(annotations), images


def score(truth: dict[str, Any], images: Images) -> CocoMetric:
    metric = CocoMetric(truth, CATEGORY_IDS, NAMES)
    for image_id, found in images.items():
        metric.update(image_id, found)
    return metric


def pycocotools_alone(
    folder: Path, truth: dict[str, Any], results: list[dict[str, Any]], categories: list[int]
) -> COCOeval:
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    coco = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(coco, coco.loadRes(str(folder / "results.json")), "bbox")
    evaluation.params.catIds = categories
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def assert_equal_to_pycocotools(values: dict[str, Any], evaluation: COCOeval) -> None:
    assert [-1 if values[key] is None else values[key] for key in SUMMARY] == evaluation.stats.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_from_the_files(seed: int, tmp_path: Path) -> None:
    truth, images = random_problem(seed)
    metric = score(truth, images)
    values = metric.compute()
    evaluation = pycocotools_alone(tmp_path, truth, metric.results(), sorted(CATEGORY_IDS))
    assert_equal_to_pycocotools(values, evaluation)
    assert values["num_images"] == len(IMAGE_IDS)
    for category, name in zip(CATEGORY_IDS, NAMES, strict=True):
        alone = pycocotools_alone(tmp_path, truth, metric.results(), [category]).stats
        for key, i in (("AP", 0), ("AP50", 1), ("AP75", 2), ("AP_small", 3), ("AP_large", 5), ("AR_100", 8)):
            assert values["per_class"][name][key] == (None if alone[i] == -1 else pytest.approx(alone[i]))
    assert metric.compute("pycocotools") == values


def test_more_than_a_hundred_detections_of_one_score(tmp_path: Path) -> None:
    """Only the canonical order decides which of them pycocotools keeps."""
    truth = truth_of([annotation(7, 5, (0, 0, 30, 30))])
    rows = [([0.0, 0.0, 20.0 + i / 10, 30.0], 0.5, 0) for i in range(130)]
    expected = score(truth, {7: detections(rows)})
    assert score(truth, {7: detections(rows[::-1])}).compute() == expected.compute()
    evaluation = pycocotools_alone(tmp_path, truth, expected.results(), sorted(CATEGORY_IDS))
    assert_equal_to_pycocotools(expected.compute(), evaluation)


@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_order_and_shards_change_nothing(seed: int, random: Any) -> None:
    truth, images = random_problem(seed)
    expected = score(truth, images)
    shuffled: Images = {}
    for image_id in random.sample(list(images), len(images)):
        rows = random.sample(range(len(images[image_id].scores)), len(images[image_id].scores))
        shuffled[image_id] = Detections(*(part[rows] for part in images[image_id]))
    shards = [score(truth, {}) for _ in range(3)]
    for image_id, found in shuffled.items():
        random.choice(shards).update(image_id, found)
    metric = shards[2]
    metric.merge(pickle.loads(pickle.dumps(shards[0])))
    metric.merge(shards[1])
    assert json.dumps(metric.results()) == json.dumps(expected.results())
    assert metric.compute() == expected.compute()


def plain_ap50(truth: dict[str, Any], results: list[dict[str, Any]], category: int) -> float | None:
    """AP at IoU 0.5 as COCO defines it for up to 100 detections an image, without crowds and areas."""
    boxes = [(a["image_id"], a["bbox"]) for a in truth["annotations"] if a["category_id"] == category]
    found = sorted((r for r in results if r["category_id"] == category), key=lambda r: -r["score"])
    free, hits = set(range(len(boxes))), []
    for result in found:
        overlaps = [
            (box_iou(result["bbox"], boxes[i][1]), i) for i in free if boxes[i][0] == result["image_id"]
        ]
        best, index = max(overlaps, default=(0.0, -1))
        hits.append(best >= 0.5)
        free -= {index} if hits[-1] else set()
    if not boxes:
        return None
    recalls = np.cumsum(hits) / len(boxes)
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    levels = np.linspace(0, 1, 101)
    return float(np.mean([precisions[recalls >= level].max(initial=0) for level in levels]))


def box_iou(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


SIDES = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(5, 25), st.integers(5, 25))
OBJECTS = st.lists(st.tuples(st.sampled_from(IMAGE_IDS), st.integers(0, 1), SIDES), max_size=5)


@given(OBJECTS, OBJECTS)
@settings(max_examples=40, deadline=None)
def test_equals_a_plain_ap(objects: list[Any], guesses: list[Any]) -> None:
    """Where all scores differ, so that no tie has to be broken."""
    truth = truth_of([annotation(i, CATEGORY_IDS[k], (x, y, x + w, y + h)) for i, k, (x, y, w, h) in objects])
    rows: dict[int, list[tuple[list[float], float, int]]] = {}
    for rank, (image_id, label, (x, y, w, h)) in enumerate(guesses):
        rows.setdefault(image_id, []).append(([x, y, x + w, y + h], 1 / (rank + 2), label))
    metric = score(truth, {image_id: detections(of_image) for image_id, of_image in rows.items()})
    values, results = metric.compute(), metric.results()
    expected = [plain_ap50(truth, results, category) for category in CATEGORY_IDS]
    for name, ap50 in zip(NAMES, expected, strict=True):
        assert values["per_class"][name]["AP50"] == (None if ap50 is None else pytest.approx(ap50))
    defined = [ap50 for ap50 in expected if ap50 is not None]
    assert values["AP50"] == (pytest.approx(np.mean(defined)) if defined else None)


def test_results_are_exact_and_canonical() -> None:
    found = detections([([-0.0, 0.1, 1e-3, 200.7], 0.3, 1), ([1.0, 2.0, 3.0, 5.0], 0.9, 2)])
    results = score(truth_of([]), {42: found, 7: found}).results()
    assert json.loads(json.dumps(results)) == results
    assert [(r["image_id"], r["category_id"]) for r in results] == [(7, 2), (7, 90), (42, 2), (42, 90)]
    assert results[0]["bbox"] == [1.0, 2.0, 2.0, 3.0]
    y1, y2 = float(found.boxes[0, 1]), float(found.boxes[0, 3])
    assert (results[1]["bbox"][1], results[1]["bbox"][3]) == (y1, y2 - y1)
    assert str(results[1]["bbox"][0]) == "0.0"


def test_a_subset_of_the_classes_is_scored_over_all_images(tmp_path: Path) -> None:
    truth, images = random_problem(1)
    metric = CocoMetric(truth, [None, 90, None], ["zebra", "dog", None])
    for image_id, found in images.items():
        metric.update(image_id, found)
    values = metric.compute()
    assert {r["category_id"] for r in metric.results()} == {90}
    assert list(values["per_class"]) == ["dog"]
    assert values["num_images"] == len(IMAGE_IDS)
    assert_equal_to_pycocotools(values, pycocotools_alone(tmp_path, truth, metric.results(), [90]))


def test_a_crowd_is_neither_found_nor_missed() -> None:
    truth = truth_of([annotation(7, 5, (0, 0, 30, 30)), annotation(7, 5, (50, 50, 150, 150), crowd=1)])
    inside = [([60.0, 60.0, 90.0, 90.0], 0.9, 0), ([70.0, 70.0, 99.0, 99.0], 0.8, 0)]
    values = score(truth, {7: detections([*inside, ([0.0, 0.0, 30.0, 30.0], 0.7, 0)])}).compute()
    assert values["AP"] == pytest.approx(1)
    assert values["per_class"]["cat"]["num_truth"] == 1


def test_no_detections_score_zero() -> None:
    truth = truth_of([annotation(7, 5, (0, 0, 30, 30))])
    for images in ({}, {7: detections([])}):
        values = score(truth, images).compute()
        assert (values["AP"], values["AP50"], values["AR_100"], values["AP_small"]) == (0, 0, 0, 0)
        assert values["AP_large"] is None
        cat = values["per_class"]["cat"]
        assert (cat["AP"], cat["AP_small"], cat["AP_large"], cat["num_truth"]) == (0, 0, None, 1)
        assert {**values["per_class"]["dog"], "num_truth": None} == dict.fromkeys(cat), "nothing is defined"


def test_no_truth_is_undefined() -> None:
    values = score(truth_of([]), {7: detections([([0.0, 0.0, 9.0, 9.0], 0.5, 0)])}).compute()
    assert all(values[key] is None for key in SUMMARY)


def test_the_truth_is_not_changed_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    truth, images = random_problem(0)
    before = copy.deepcopy(truth)
    metric = score(truth, images)
    assert metric.compute() == metric.compute()
    assert truth == before
    assert capsys.readouterr().out == ""


def test_missing_area_and_crowd_flags_have_defaults() -> None:
    truth, images = random_problem(3)
    truth["annotations"] = [{**row, "iscrowd": 0} for row in truth["annotations"]]
    expected = score(truth, images).compute()
    for row in truth["annotations"]:
        del row["iscrowd"], row["area"]
    assert score(truth, images).compute() == expected


def test_an_image_is_counted_once() -> None:
    metric, other = score(truth_of([]), {7: detections([])}), score(truth_of([]), {7: detections([])})
    with pytest.raises(ValueError, match="Image 7 is counted twice"):
        metric.update(7, detections([]))
    with pytest.raises(ValueError, match="Image 7 is counted twice"):
        metric.merge(other)


@pytest.mark.parametrize(
    ("image_id", "row", "message"),
    [
        (8, ([0.0, 0.0, 1.0, 1.0], 0.5, 0), "Image 8 is not in the ground truth"),
        (7, ([0.0, 0.0, 1.0, 1.0], 0.5, -1), "labels from -1 to -1"),
        (7, ([0.0, 0.0, 1.0, 1.0], 0.5, 3), "labels from 3 to 3"),
        (7, ([0.0, float("nan"), 1.0, 1.0], 0.5, 0), "not a finite number"),
    ],
)
def test_wrong_detections_are_refused(image_id: int, row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(truth_of([]), {image_id: detections([row])})


def test_wrong_classes_are_refused() -> None:
    truth = truth_of([])
    with pytest.raises(
        InputError, match=r"\['zebra'\] is a class of the data \['cat', 'dog', 'bird', 'cow'\]"
    ):
        CocoMetric(truth, [None], ["zebra"])
    with pytest.raises(InputError, match="Two labels share"):
        CocoMetric(truth, [5, 5], ["cat", "dog"])
    with pytest.raises(InputError, match="Category id 6"):
        CocoMetric(truth, [6], ["cat"])
    with pytest.raises(InputError, match="1 category ids were given for 2"):
        CocoMetric(truth, [5], ["cat", "dog"])
    with pytest.raises(ValueError, match="choose numpy or pycocotools"):
        score(truth, {}).compute("fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Only metrics of the same classes"):
        score(truth, {}).merge(CocoMetric(truth, [5], ["cat"]))
