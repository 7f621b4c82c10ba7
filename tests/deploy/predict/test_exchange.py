"""Covers deploy/predict/exchange.py, deploy/predict/class_masks.py, deploy/predict/prediction.py.

Results travel to other tools and come back as they were. FiftyOne itself is not installed here: the dict form
of its labels is tested, its objects are not.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from pocketvision.core.errors import InputError
from pocketvision.deploy import packages
from pocketvision.deploy.predict.prediction import Prediction, Task

NAMES = ("background", "cat", None, "dog")
TASKS: tuple[Task, ...] = ("detection", "segmentation", "classification")
IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
WAYS: dict[str, dict[str, Any]] = {
    "numpy": {"tasks": TASKS, "package": None},
    "df": {"tasks": ("detection", "classification"), "package": "pandas"},
    "supervision": {"tasks": TASKS, "package": "supervision"},
    "coco": {"tasks": ("detection", "segmentation"), "package": None},
    "fiftyone_dict": {"tasks": TASKS, "package": None},
}


def found(task: Task, count: int = 5) -> Prediction:
    random = np.random.default_rng(count)
    if task == "segmentation":
        labels = random.choice(np.array([0, 1, 3], np.uint8), (40, 60))
        return Prediction(task, IMAGE, NAMES, "a.png", label_map=labels)
    corners = random.uniform(0, 30, (count, 2))
    boxes = np.concatenate((corners, corners + random.uniform(1, 10, (count, 2))), 1).astype(np.float32)
    scores = np.sort(random.uniform(0.1, 1, count).astype(np.float32))[::-1]
    known = random.choice(np.array([1, 3], np.int64), count)
    return Prediction(
        task, IMAGE, NAMES, "a.png", boxes=boxes if task == "detection" else None, scores=scores, labels=known
    )


def there_and_back(way: str, prediction: Prediction) -> Prediction:
    if WAYS[way]["package"] is not None:
        pytest.importorskip(WAYS[way]["package"], reason="an optional package")
    value = getattr(prediction, f"to_{way}")()
    back = getattr(Prediction, f"from_{way.removesuffix('_dict')}")
    result: Prediction = back(IMAGE, value, class_names=NAMES, task=prediction.task)
    return result


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize(
    ("way", "task"), [(way, task) for way, facts in WAYS.items() for task in facts["tasks"]]
)
def test_results_come_back_as_they_were(way: str, task: Task, count: int) -> None:
    prediction = found(task, count)
    back = there_and_back(way, prediction)
    assert back.task == task and back.class_names == NAMES
    for name in ("boxes", "scores", "labels", "label_map"):
        expected, got = getattr(prediction, name), getattr(back, name)
        if expected is None:
            assert got is None, name
            continue
        assert got.dtype == expected.dtype and got.shape == expected.shape, name
        if way == "fiftyone_dict" and name == "boxes":  # which holds shares of the sides
            np.testing.assert_allclose(got, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(got, expected)


def test_supervision_has_names_masks_and_boxes_around_them() -> None:
    supervision = pytest.importorskip("supervision", reason="an optional package")
    detections = found("detection").to_supervision()
    assert isinstance(detections, supervision.Detections) and len(detections[detections.confidence > 0.2]) > 0
    assert detections.data["class_name"].tolist() == found("detection").names
    label_map = np.zeros((40, 60), np.uint8)
    label_map[10:20, 30:45] = 3
    masks = Prediction("segmentation", IMAGE, NAMES, label_map=label_map).to_supervision()
    assert masks.xyxy.tolist() == [[0, 0, 60, 40], [30, 10, 45, 20]] and masks.area.tolist() == [2250, 150]


def test_coco_is_json_and_pycocotools_scores_it() -> None:
    from pycocotools import mask as rle  # type: ignore[import-untyped]
    from pycocotools.coco import COCO  # type: ignore[import-untyped]

    truth = COCO()
    truth.dataset = {
        "images": [{"id": 7, "height": 40, "width": 60}], "annotations": [],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(NAMES) if name],
    }  # fmt: skip
    truth.createIndex()
    prediction = found("detection")
    annotations = json.loads(json.dumps(prediction.to_coco(image_id=7)))
    loaded = truth.loadRes(annotations)
    assert prediction.labels is not None
    assert [loaded.cats[a["category_id"]]["name"] for a in loaded.anns.values()] == prediction.names
    masks = json.loads(json.dumps(found("segmentation").to_coco()))
    assert sum(rle.area(annotation["segmentation"]) for annotation in masks) == 40 * 60


def test_masks_of_others_may_leave_the_background_out() -> None:
    annotation = {"category_id": 4, "segmentation": {"size": [40, 60], "counts": [0, 5, 2395]}}
    with pytest.raises(InputError, match="Annotation 0 has no RLE mask"):
        Prediction.from_coco(IMAGE, [{**annotation, "segmentation": [[1, 2, 3, 4]]}], NAMES, "segmentation")
    back = Prediction.from_coco(IMAGE, [annotation], NAMES, "segmentation")
    assert back.label_map is not None and back.label_map[:5, 0].tolist() == [3] * 5
    assert back.label_map.sum() == 15
    with pytest.raises(InputError, match="no class is called background"):
        Prediction.from_coco(IMAGE, [annotation], ("a", "b", "c", "d"), "segmentation")


@pytest.mark.parametrize(
    ("way", "value", "task", "sentence"),
    [
        ("numpy", np.zeros((2, 5)), "detection", "has 6 columns"),
        ("numpy", np.array([[0, 0, 1, 1, 0.5, 2]]), "detection", "There is no class 2"),
        ("numpy", np.array([[0, 0, 1, 1, 0.5, 9]]), "detection", "There is no class 9"),
        ("numpy", np.array([[0, 0, 1, np.nan, 0.5, 1]]), "detection", "finite numbers"),
        ("numpy", np.zeros((4, 4), np.uint8), "segmentation", r"shape \(4, 4\)"),
        ("coco", [{"bbox": [0, 0, 1, 1]}], "detection", "Annotation 0 has no category_id"),
        ("coco", [], "classification", "whole images"),
        ("fiftyone", {"_cls": "Segmentation"}, "segmentation", "no mask in memory"),
        ("fiftyone", {"_cls": "Classification"}, "detection", "none of detection"),
        ("fiftyone", {"detections": [{"label": "cow"}]}, "detection", "There is no class 'cow'"),
        ("df", None, "segmentation", "no pixels"),
    ],
)
def test_what_does_not_fit_is_said(way: str, value: Any, task: Task, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        getattr(Prediction, f"from_{way}")(IMAGE, value, NAMES, task)


@pytest.mark.parametrize(
    ("way", "package"), [("df", "pandas"), ("supervision", "supervision"), ("fiftyone",) * 2]
)
def test_a_missing_package_is_named(way: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    with pytest.raises(InputError, match=rf"package {package} is missing: .* pip install {package}\.$"):
        getattr(found("detection"), f"to_{way}")()


@pytest.mark.parametrize("task", TASKS)
def test_a_result_is_counted_gone_through_and_shown(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = found(task)
    rows = list(prediction)
    assert len(prediction) == len(rows) == (3 if task == "segmentation" else 5)
    assert [row["name"] for row in rows] == prediction.names and found("detection", 0)
    with PillowImage.open(io.BytesIO(prediction._repr_png_())) as picture:
        np.testing.assert_array_equal(np.asarray(picture), prediction.draw())
    shown: list[PillowImage.Image] = []
    monkeypatch.setattr(PillowImage.Image, "show", lambda picture: shown.append(picture))
    prediction.show()
    np.testing.assert_array_equal(np.asarray(shown[0]), prediction.draw())
