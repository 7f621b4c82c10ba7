"""What a certificate is made with: data sets of every format, folders, and scores as in an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Detections
from pocketvision.datasets.records.annotations import DetectionRecords, SegmentationRecords
from pocketvision.deploy.certificate.images import ImageSet, TruthScore, find_images
from pocketvision.deploy.runtimes.artifact import OUTPUTS, Artifact
from pocketvision.metrics import CocoMetric

Tiny = Callable[[str], Path]


def artifact(task: Any, *names: str) -> Artifact:
    return Artifact(task, names, Resize((64, 96)), (0, 0, 0), (1, 1, 1), OUTPUTS[task], "")


def perfect(images: ImageSet, index: int) -> Any:
    """What a model without faults says."""
    records = images.records
    if isinstance(records, DetectionRecords):
        rows = records.boxes_of(index)
        labels = torch.from_numpy(records.labels[rows])
        return Detections(torch.from_numpy(records.boxes[rows]), torch.ones(len(labels)), labels)
    if isinstance(records, SegmentationRecords):
        mask = cv2.imread(records.mask_paths[index], cv2.IMREAD_UNCHANGED)
        return torch.from_numpy(records.to_classes(np.asarray(mask, np.uint8), ""))
    assert records is not None
    return torch.eye(len(records.class_names))[int(records.labels[index])]


@pytest.mark.parametrize(
    ("layout", "task", "names"),
    [
        ("coco", "detection", ("owl", "cat")),
        ("voc", "detection", ("Platelets", "RBC", "WBC")),
        ("masks", "segmentation", tuple("abcdefghijkl")),
        ("image_folder", "classification", ("n00000001", "n00000000")),
    ],
)
def test_the_truth_of_every_format(layout: str, task: str, names: tuple[str, ...], tiny: Tiny) -> None:
    images = find_images(tiny(layout), artifact(task, *names), limit=3)
    assert images.records is not None and images.records.class_names == names
    assert len(images.paths) == len(images.records) == 3 and images.num_available == 4
    assert images.place.endswith("split val") and images.read(0).shape == (64, 96, 3)
    score = TruthScore(images.records, names)
    for index in range(3):
        score.update(index, perfect(images, index))
    assert score.value(task) == pytest.approx(1.0)


def test_only_the_chosen_images_count(tiny: Tiny) -> None:
    """The same as COCO's metric over a data set that has no others."""
    names = ("cat", "owl")
    images = find_images(tiny("coco"), artifact("detection", *names), limit=2)
    assert isinstance(images.records, DetectionRecords)
    score = TruthScore(images.records, names)
    assert isinstance(score.metric, CocoMetric)
    assert score.metric.image_ids == tuple(images.records.image_ids.tolist())
    score.update(0, perfect(images, 0))
    found = score.value("detection")
    assert found is not None and 0 < found < 1


def test_a_folder_of_images_has_no_truth(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pocketvision")
    folder = tiny("coco") / "val"
    images = find_images(folder, artifact("detection", "cat"), limit=64)
    assert images.records is None and len(images.paths) == 4 and images.place == str(folder)
    assert images.read(3).shape == (64, 96, 3) and "without truth" in caplog.text
    other = find_images(tiny("coco"), artifact("detection", "zebra"), limit=64)
    assert other.records is None and len(other.paths) == 8 and "the model has: zebra" in caplog.text


def test_nothing_to_compare_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no images: give a folder of images or a data set\."):
        find_images(tmp_path, artifact("detection", "cat"))
    with pytest.raises(InputError, match="There is no folder or data set"):
        find_images(tmp_path / "no", artifact("detection", "cat"))
