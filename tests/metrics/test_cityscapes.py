"""Covers metrics/cityscapes_labels.py.

Cityscapes scores against cityscapesScripts, from the same label maps as files.
"""

from __future__ import annotations

import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.cityscapes import CITYSCAPES_LABEL_IDS, CITYSCAPES_NAMES
from pocketvision.metrics import CityscapesMetric
from pocketvision.metrics.cityscapes_labels import CATEGORIES, EVALUATED_IDS, LABELS

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]


def random_maps(seed: int, ids: tuple[int, ...] = tuple(range(34))) -> Maps:
    """Prediction, truth and instances (48, 64): every label id, void and regions without instances."""
    random = np.random.default_rng(seed)
    truth = random.choice(ids, (12, 16)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    prediction = np.where(random.random(truth.shape) < 0.6, truth, random.choice(ids, truth.shape))
    has_instances = np.array([label.average_size is not None for label in LABELS])[truth]
    numbers = random.integers(0, 3, (6, 8)).repeat(8, 0).repeat(8, 1)
    is_instance = has_instances & (random.random(truth.shape) < 0.9)
    instances = np.where(is_instance, truth.astype(np.int32) * 1000 + numbers, truth)
    return prediction.astype(np.uint8), truth, instances.astype(np.int32)


def cityscapes_scripts(folder: Path, images: list[Maps]) -> dict[str, Any]:
    import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as scripts  # noqa: N813

    predictions, truths = [], []
    for i, (prediction, truth, instances) in enumerate(images):
        name = f"{folder}/bonn_{i:06}_000019"
        Image.fromarray(prediction).save(f"{name}_pred.png")
        Image.fromarray(truth).save(f"{name}_gtFine_labelIds.png")
        Image.fromarray(instances.astype(np.uint16)).save(f"{name}_gtFine_instanceIds.png")
        predictions.append(f"{name}_pred.png")
        truths.append(f"{name}_gtFine_labelIds.png")
    arguments = scripts.args
    arguments.quiet, arguments.JSONOutput, arguments.evalPixelAccuracy = True, False, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its use of NumPy
        result: dict[str, Any] = scripts.evaluateImgLists(predictions, truths, arguments)
    return result


def score(images: list[Maps]) -> CityscapesMetric:
    metric = CityscapesMetric()
    for maps in images:
        metric.update(*maps)
    return metric


def close(value: float | None, expected: float) -> bool:
    if math.isnan(expected):
        return value is None
    return value is not None and abs(value - expected) < 1e-12


@pytest.mark.parametrize("ids", [tuple(range(34)), (0, 7, 24, 26, 29, 23)])
def test_equals_cityscapes_scripts(
    ids: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # NumPy 2.4 has it under the newer name only
    images = [random_maps(seed, ids) for seed in range(3)]
    values, expected = score(images).compute(), cityscapes_scripts(tmp_path, images)
    for name, row in values["per_class"].items():
        assert close(row["IoU"], expected["classScores"][name]), name
        assert close(row.get("iIoU"), expected["classInstScores"][name]), name
    for name, row in values["per_category"].items():
        assert close(row["IoU"], expected["categoryScores"][name]), name
        assert close(row.get("iIoU"), expected["categoryInstScores"][name]), name
    assert close(values["class_mIoU"], expected["averageScoreClasses"])
    assert close(values["category_mIoU"], expected["averageScoreCategories"])
    assert close(values["iIoU"], expected["averageScoreInstClasses"])
    assert close(values["category_iIoU"], expected["averageScoreInstCategories"])
    assert 0.2 < values["iIoU"] < 0.9


def test_absent_classes_are_left_out_of_the_mean() -> None:
    values = score([random_maps(0, (7, 23))]).compute()
    present = [values["per_class"][name]["IoU"] for name in ("road", "sky")]
    assert values["class_mIoU"] == pytest.approx(sum(present) / 2)
    assert values["per_class"]["car"] == {"IoU": None, "iIoU": None}
    assert values["iIoU"] is None and values["per_category"]["human"]["IoU"] is None


def test_shards_change_nothing() -> None:
    images = [random_maps(seed) for seed in range(4)]
    metric = pickle.loads(pickle.dumps(score(images[:1])))
    metric.merge(score(images[1:]))
    whole, merged = score(images).compute(), metric.compute()
    assert merged["per_class"]["car"]["iIoU"] == pytest.approx(whole["per_class"]["car"]["iIoU"], abs=1e-12)
    assert merged["category_mIoU"] == whole["category_mIoU"]


def test_the_table_is_that_of_the_reader() -> None:
    assert EVALUATED_IDS == CITYSCAPES_LABEL_IDS
    assert tuple(LABELS[i].name for i in EVALUATED_IDS) == CITYSCAPES_NAMES
    assert len(LABELS) == 34 and len(CATEGORIES) == 7


def test_other_values_are_refused() -> None:
    prediction, truth, instances = random_maps(0)
    with pytest.raises(InputError, match="prediction holds the value 255, but label ids are 0 to 33"):
        CityscapesMetric().update(np.full_like(truth, 255), truth)
    with pytest.raises(InputError, match="prediction holds the value -1, but label ids are 0 to 33"):
        CityscapesMetric().update(np.full(truth.shape, -1), truth)
    with pytest.raises(InputError, match="must have one shape"):
        CityscapesMetric().update(prediction[1:], truth)
    with pytest.raises(InputError, match="label id 70 is unknown"):
        CityscapesMetric().update(prediction, truth, np.full_like(instances, 70_000))
