"""Cityscapes as its server scores it, and the files that it takes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.datasets.images.read import read_mask
from pocketvision.datasets.masks.cityscapes import CITYSCAPES_NAMES, instance_file
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.metrics import CityscapesMetric
from pocketvision.metrics.cityscapes_labels import EVALUATED_IDS

logger = logging.getLogger("pocketvision")

_Labels = npt.NDArray[np.uint8]

_MASK = "_labelIds.png"
_UNLABELED = 0


def is_cityscapes(records: SegmentationRecords) -> bool:
    """Whether the masks are Cityscapes' label ids and the classes are among its own."""
    names = {name for name in records.class_names if name is not None}
    return names <= set(CITYSCAPES_NAMES) and all(path.endswith(_MASK) for path in records.mask_paths)


class CityscapesResults:
    """Scores and writes predictions as label ids.

    ``submission`` gets one PNG an image, named as the image, one channel of label ids: zip it for the server.
    Predictions of the validation split are read from it by cityscapesScripts too. Without
    instanceIds files there is no iIoU.
    """

    def __init__(self, records: SegmentationRecords, submission: Path) -> None:
        self.metric = CityscapesMetric()
        self._submission = submission
        files = zip(records.image_paths, records.mask_paths, strict=True)
        self._paths = dict(zip(records.image_ids.tolist(), files, strict=True))
        self._has_instances = all(_has_instances(path) for path in records.mask_paths)
        if not self._has_instances:
            logger.warning("iIoU is left out: not every mask has its instanceIds file beside it")
        self._label_ids = np.full(256, _UNLABELED, dtype=np.uint8)
        for index, name in enumerate(records.class_names):
            if name is not None:
                self._label_ids[index] = EVALUATED_IDS[CITYSCAPES_NAMES.index(name)]

    def update(self, image_id: int, prediction: _Labels) -> None:
        """Add one image: class indices (H, W) at its original size."""
        image_path, mask_path = self._paths[image_id]
        label_ids = self._label_ids[prediction]
        instances = None
        if self._has_instances:
            instances = _read_instances(instance_file(mask_path))
        self.metric.update(label_ids, read_mask(mask_path), instances)
        write_label_ids(self._submission / Path(image_path).name, label_ids)

    def add_to(self, metrics: dict[str, Any]) -> None:
        """Enter category_mIoU, iIoU, category_iIoU, ``per_category`` and the classes' iIoU."""
        scores = self.metric.compute()
        metrics |= {name: scores[name] for name in ("category_mIoU", "iIoU", "category_iIoU", "per_category")}
        for name, row in scores["per_class"].items():
            if "iIoU" in row and name in metrics["per_class"]:
                metrics["per_class"][name]["iIoU"] = row["iIoU"]


def write_label_ids(path: Path, label_ids: _Labels) -> None:
    """Write (H, W) label ids as the server reads them, and read them back.

    Raises:
        InputError: what is read is not what was written.
    """
    with replacing(path) as temporary:
        Image.fromarray(label_ids, mode="L").save(temporary, format="PNG")
        with Image.open(temporary) as picture:
            is_same = picture.mode == "L" and np.array_equal(np.asarray(picture), label_ids)
        if not is_same:
            raise InputError(f"{path} does not hold what was written to it: check the disk and write again.")


def _read_instances(path: str) -> npt.NDArray[Any]:
    instances = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if instances is None:
        raise InputError(f"{path} can't be read as a picture: copy it again.")
    return instances


def _has_instances(mask_path: str) -> bool:
    try:
        return bool(instance_file(mask_path))
    except InputError:
        return False
