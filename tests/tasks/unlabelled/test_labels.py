"""A teacher's boxes become labels, boxes in doubt, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pocketvision.core.structures import Detections
from pocketvision.datasets.formats.coco import read_coco
from pocketvision.tasks.unlabelled.labels import chosen_labels
from pocketvision.tasks.unlabelled.thresholds import LabelThresholds

NAMES = {0: "cat", 1: "owl"}
THRESHOLDS = {"cat": LabelThresholds(0.8, 0.4, ""), "owl": LabelThresholds(0.6, 0.3, "")}
BOX = [1.0, 2.0, 30.0, 40.0]


def found(*rows: tuple[int, float]) -> Detections:
    labels, scores = zip(*rows, strict=True) if rows else ((), ())
    boxes = torch.tensor([BOX] * len(rows)).reshape(-1, 4)
    return Detections(boxes, torch.tensor(scores), torch.tensor(labels, dtype=torch.int64))


def test_each_class_has_its_thresholds(tiny: Callable[[str], Path]) -> None:
    pictures = read_coco(tiny("coco"), "train")
    pictures = pictures.keep(np.zeros(len(pictures.boxes), dtype=bool))
    detections = [
        found((0, 0.8), (1, 0.79), (0, 0.79), (1, 0.31), (0, 0.39)),  # two labels, two in doubt
        found((0, 0.79), (1, 0.5)),  # nothing for sure
        found(),
        found((1, 0.6)),
    ]
    labels = chosen_labels(pictures, detections, NAMES, THRESHOLDS)
    assert (labels.num_sure, labels.num_without) == (3, 2)
    records = labels.records
    assert list(records.image_paths) == [pictures.image_paths[0], pictures.image_paths[3]]
    assert records.labels[records.boxes_of(0)].tolist() == [0, 1, 0, 1]
    assert records.crowd[records.boxes_of(0)].tolist() == [False, False, True, True]
    assert records.labels[records.boxes_of(1)].tolist() == [1]
    assert (records.boxes == np.array(BOX, dtype=np.float32)).all()
    assert (records.areas == 29 * 38).all()


def test_boxes_without_area_are_none(tiny: Callable[[str], Path]) -> None:
    pictures = read_coco(tiny("coco"), "train")
    flat = Detections(torch.tensor([[5.0, 5, 5.5, 40]]), torch.tensor([0.9]), torch.tensor([0]))
    labels = chosen_labels(pictures, [flat, found(), found(), found()], NAMES, THRESHOLDS)
    assert labels.num_sure == 0 and len(labels.records) == 0
