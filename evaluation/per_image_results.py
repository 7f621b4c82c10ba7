"""What an evaluation keeps of every image, in ``images.npz``: enough to compare two models."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.metrics.accuracy import ResampledAccuracy
from pocketvision.metrics.bootstrap import Resampled
from pocketvision.metrics.coco_arrays import AREA_NAMES, Truth
from pocketvision.metrics.coco_matching import Bits
from pocketvision.metrics.coco_resampled import ResampledSizes, SizedMatches
from pocketvision.metrics.detection_analysis import ImageCounts
from pocketvision.metrics.iou import ResampledIoU

FILE = "images.npz"

_SAME_PLACE = 0.01
"""Pixels by which formats may round a box."""


class DetectionImages(NamedTuple):
    """A detector's matches; ``images`` to ``truth_sizes`` as in :class:`SizedMatches`.

    ``image_ids``, ``file_names`` (N,); ``class_names`` (K,); ``found``, ``missed``, ``false`` (N,) boxes at
    each class's best threshold; ``truth_boxes`` (B, 4) xywh of all annotations, as :func:`ordered_boxes` has
    them.
    """

    image_ids: npt.NDArray[np.int64]
    file_names: npt.NDArray[np.str_]
    class_names: npt.NDArray[np.str_]
    images: npt.NDArray[np.int32]
    categories: npt.NDArray[np.int32]
    hits: Bits
    counted: Bits
    truth_images: npt.NDArray[np.int32]
    truth_categories: npt.NDArray[np.int32]
    truth_sizes: npt.NDArray[np.uint8]
    found: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]
    false: npt.NDArray[np.int64]
    truth_boxes: npt.NDArray[np.float32]

    def has_truth_of(self, other: DetectionImages) -> bool:
        """Whether both have as many boxes of each image and class, at the same places."""
        is_same = np.array_equal(self._counts(), other._counts())
        boxes, others = self.truth_boxes, other.truth_boxes
        return (
            is_same and boxes.shape == others.shape and np.allclose(boxes, others, rtol=0, atol=_SAME_PLACE)
        )

    def _counts(self) -> npt.NDArray[np.int64]:
        counts = np.zeros((len(self.image_ids), len(self.class_names)), dtype=np.int64)
        np.add.at(counts, (self.truth_images, self.truth_categories), 1)
        return counts

    def resampled(self) -> Resampled:
        tables = [self.matches.table(area) for area in range(len(AREA_NAMES))]
        return ResampledSizes(tables, len(self.image_ids), len(self.class_names))

    @property
    def matches(self) -> SizedMatches:
        """What AP needs."""
        return SizedMatches(*(getattr(self, name) for name in SizedMatches._fields))

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

    def has_truth_of(self, other: SegmentationImages) -> bool:
        """Whether both have as many pixels of each image and class."""
        return np.array_equal(self.counts[:, :, 1], other.counts[:, :, 1])

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


class ClassificationImages(NamedTuple):
    """A classifier's answers: ``true_names`` and ``predicted_names`` (N,) of the classes."""

    image_ids: npt.NDArray[np.int64]
    file_names: npt.NDArray[np.str_]
    class_names: npt.NDArray[np.str_]
    true_names: npt.NDArray[np.str_]
    predicted_names: npt.NDArray[np.str_]

    def has_truth_of(self, other: ClassificationImages) -> bool:
        """Whether the images have the same classes."""
        return np.array_equal(self.true_names, other.true_names)

    def resampled(self) -> Resampled:
        return ResampledAccuracy(self.true_names == self.predicted_names)

    def image_scores(self) -> npt.NDArray[np.float64]:
        """1 (N,) where the answer is right, else 0."""
        scores: npt.NDArray[np.float64] = (self.true_names == self.predicted_names).astype(np.float64)
        return scores

    def write(self, folder: Path) -> None:
        _write(self, folder)


ScoredImages = DetectionImages | SegmentationImages | ClassificationImages


def ordered_boxes(truth: Truth) -> npt.NDArray[np.float32]:
    """Boxes (B, 4) by image, class and place: equal for equal data, whatever the order of its file."""
    order = np.lexsort((*truth.boxes.T[::-1], truth.crowd, truth.categories, truth.images))
    return truth.boxes[order].astype(np.float32)


def read_images(folder: Path) -> ScoredImages:
    """What an evaluation left in ``folder``.

    Raises:
        InputError: there is no such file, it is broken, or of another version.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {FILE}: score it again with pocketvision eval.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is broken ({error}): score it again with pocketvision eval.") from error
    kind = next((kind for name, kind in _KINDS.items() if name in arrays), DetectionImages)
    lacking = [name for name in kind._fields if name not in arrays]
    if lacking:
        raise InputError(
            f"{path} lacks {lacking[0]}, as another version wrote it: score it again with pocketvision eval."
        )
    images: ScoredImages = kind(**{name: arrays[name] for name in kind._fields})
    return images


_KINDS: dict[str, type[ScoredImages]] = {"counts": SegmentationImages, "true_names": ClassificationImages}
"""An array that only this kind has."""


def _write(images: ScoredImages, folder: Path) -> None:
    with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **images._asdict())
