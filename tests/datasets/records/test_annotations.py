from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import DetectionRecords, read_coco, read_mask_folder, read_voc
from pocketvision.datasets.coco.ground_truth import coco_dataset


def score(records: DetectionRecords) -> np.ndarray:
    """COCOeval's summary of perfect detections, after a round trip of the truth through pycocotools."""
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_module.COCO()
        truth.dataset = coco_dataset(records)
        truth.createIndex()
        perfect = [
            {key: row[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
            for row in truth.dataset["annotations"]
            if not row["iscrowd"]
        ]
        evaluation = COCOeval(truth, truth.loadRes(perfect), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_truth_through_pycocotools(coco: Callable[..., Path], voc: Path) -> None:
    assert score(read_coco(coco(), "train"))[0] == pytest.approx(1.0)
    assert score(read_voc(voc, "train"))[0] == pytest.approx(1.0)


def test_annotation_ids_from_zero_are_found_too(coco: Callable[..., Path]) -> None:
    root = coco(lambda c: [row.update(id=row["id"] - 1) for row in c["annotations"]])
    assert score(read_coco(root, "train"))[0] == pytest.approx(1.0)


def test_select_reorders_drops_and_reserves(coco: Callable[..., Path]) -> None:
    records = read_coco(coco(), "train").select([None, "cat", "fox", "dog"])
    assert records.category_ids == (-1, 7, -1, 2)
    assert records.labels.tolist() == [3, 1, 3]
    assert np.diff(records.offsets).tolist() == [1, 1, 1, 0]
    assert records.crowd.tolist() == [True, False, False] and len(records) == 4
    told = str(records.notes[0])
    assert told.startswith("1 box has a class") and "owl (first" in told


def test_select_unknown(coco: Callable[..., Path]) -> None:
    records = read_coco(coco(), "train")
    with pytest.raises(InputError, match="owl"):
        records.select(["cat", "dog"], unknown="error")
    with pytest.raises(InputError, match=r"data has: dog, cat, owl; the model has: fox, hen"):
        records.select(["fox", "hen"])
    with pytest.raises(InputError, match="twice"):
        records.select(["cat", "cat"])


def test_built_truth_leaves_out_classes_without_id(voc: Path) -> None:
    truth = coco_dataset(read_voc(voc, "train").select(["fox", None, "dog"]))
    assert truth["categories"] == [{"id": 2, "name": "dog"}]
    assert [row["category_id"] for row in truth["annotations"]] == [2]
    assert truth["annotations"][0]["bbox"] == [0, 0, 60, 40]


def test_segmentation_select(masks: Path) -> None:
    records = read_mask_folder(masks, "train", ignore_ids=[9]).select(["car", None, "sky"])
    assert records.lookup[[0, 1, 2, 9, 255, 3]].tolist() == [2, 255, 0, 255, 255, 254]
    with pytest.raises(InputError, match="sky, road, car"):
        read_mask_folder(masks, "train", ignore_ids=[9]).select(["fox"])


def test_classes_that_the_model_does_not_know_are_named_and_told_from_ignored_pixels(masks: Path) -> None:
    records = read_mask_folder(masks, "train", ignore_ids=[9])
    chosen = records.select(["car", None, "sky"], unknown="other")
    assert chosen.lookup[[0, 1, 2, 9, 255, 3]].tolist() == [2, 253, 0, 255, 255, 254]
    assert "1 of the 3 classes of the data are not among the model's: road." in str(chosen.notes[-1])
    assert records.select(["car", "road", "sky"], unknown="other").notes == records.notes


def test_records_pickle(coco: Callable[..., Path]) -> None:
    records = read_coco(coco(), "train")
    copy = pickle.loads(pickle.dumps(records))
    assert copy.image_paths == records.image_paths and (copy.boxes == records.boxes).all()
