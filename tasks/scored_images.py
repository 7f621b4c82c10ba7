"""What an evaluation keeps of every image, in ``images.npz``: enough to compare two models."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.metrics.bootstrap import Resampled
from pocketvision.metrics.coco_resampled import MatchTable, ResampledAP
from pocketvision.metrics.detection_analysis import ImageCounts
from pocketvision.metrics.iou import ResampledIoU

FILE = "images.npz"


class DetectionImages(NamedTuple):
    """A detector's matches; ``images`` to ``truth_categories`` as in :class:`MatchTable`.

    ``image_ids``, ``file_names`` (N,); ``class_names`` (K,); ``found``, ``missed``, ``false`` (N,) boxes at
    each class's best threshold.
    """

    image_ids: npt.NDArray[np.int64]
    file_names: npt.NDArray[np.str_]
    class_names: npt.NDArray[np.str_]
    images: npt.NDArray[np.int32]
    categories: npt.NDArray[np.int32]
    hits: npt.NDArray[np.uint16]
    counted: npt.NDArray[np.uint16]
    truth_images: npt.NDArray[np.int32]
    truth_categories: npt.NDArray[np.int32]
    found: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]
    false: npt.NDArray[np.int64]

    @property
    def truth(self) -> npt.NDArray[Any]:
        """(N, K) boxes of each image and class: equal if the split is."""
        counts = np.zeros((len(self.image_ids), len(self.class_names)), dtype=np.int64)
        np.add.at(counts, (self.truth_images, self.truth_categories), 1)
        return counts

    def resampled(self) -> Resampled:
        table = MatchTable(*(getattr(self, name) for name in MatchTable._fields))
        return ResampledAP(table, len(self.image_ids), len(self.class_names))

    def image_scores(self) -> npt.NDArray[np.float64]:
        """F1 (N,) at IoU 0.5, NaN for images without boxes and detections."""
        return ImageCounts(self.found, self.missed, self.false).f1

    def write(self, folder: Path) -> None:
        _write(self, folder)


class SegmentationImages(NamedTuple):
    """A segmenter's counts: ``counts`` (N, K, 3) hits, true and predicted pixels of each image and class."""

    image_ids: npt.NDArray[np.int64]
    file_names: npt.NDArray[np.str_]
    class_names: npt.NDArray[np.str_]
    counts: npt.NDArray[np.int64]

    @property
    def truth(self) -> npt.NDArray[Any]:
        """(N, K) pixels of each image and class: equal if the split is."""
        return self.counts[:, :, 1]

    def resampled(self) -> Resampled:
        return ResampledIoU(self.counts, self.class_names.tolist())

    def image_scores(self) -> npt.NDArray[np.float64]:
        """Mean IoU (N,) of the classes that are in the truth or predicted, NaN without any."""
        hits, true, predicted = np.moveaxis(self.counts, 2, 0)
        unions = true + predicted - hits
        ious = np.divide(hits, unions, out=np.zeros(unions.shape), where=unions > 0)
        present = (unions > 0).sum(axis=1)
        undefined = np.full(len(present), np.nan)
        scores: npt.NDArray[np.float64] = np.divide(
            ious.sum(axis=1), present, out=undefined, where=present > 0
        )
        return scores

    def write(self, folder: Path) -> None:
        _write(self, folder)


ScoredImages = DetectionImages | SegmentationImages


def read_images(folder: Path) -> ScoredImages:
    """What an evaluation left in ``folder``.

    Raises:
        InputError: there is no such file, or it is broken.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {FILE}: score it again with pocketvision eval.")
    try:
        with np.load(path, allow_pickle=False) as file:
            kind = SegmentationImages if "counts" in file.files else DetectionImages
            images: ScoredImages = kind(**{name: file[name] for name in kind._fields})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is broken ({error}): score it again with pocketvision eval.") from error
    return images


def _write(images: ScoredImages, folder: Path) -> None:
    with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **images._asdict())
