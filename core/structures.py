"""The values that travel between the parts. Boxes are xyxy pixels, sizes are (height, width)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

Features = dict[str, "Tensor"]
"""Feature name -> (N, C, H / stride, W / stride), finest first."""

Size = tuple[int, int]
"""(height, width) in pixels."""


IGNORE_INDEX = 255
"""Mask value of pixels that are neither learned nor scored."""

OTHER_INDEX = 253
"""Mask value of pixels whose class the model does not know: not learned, and scored as no class of its own,
so that whatever it says there is wrong."""


class FeatureInfo(NamedTuple):
    """What a backbone declares about one of its features."""

    channels: int
    stride: int


class DetectionOutput(NamedTuple):
    """Raw output of a detector for N images, A anchors and K classes.

    ``class_logits`` is (N, A, K + 1) with the background last for softmax scores and (N, A, K) for
    sigmoid scores; ``box_deltas`` is (N, A, 4); ``anchors`` is (A, 4) in xyxy pixels of the input.
    """

    class_logits: Tensor
    box_deltas: Tensor
    anchors: Tensor


class DistributionOutput(NamedTuple):
    """A :class:`DetectionOutput` of a head whose deltas are means, and what they are means of: for losses.

    ``box_distributions`` are logits (N, A, 4, R + 1) over the values of ``box_deltas``.
    """

    class_logits: Tensor
    box_deltas: Tensor
    anchors: Tensor
    box_distributions: Tensor


LossInput = DetectionOutput | DistributionOutput
"""What a detector's loss gets."""


class Detections(NamedTuple):
    """Detections of one image, best first: boxes (M, 4) xyxy, scores (M,), labels (M,) in [0, K)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class ArrayDetections(NamedTuple):
    """:class:`Detections` in arrays: boxes (M, 4) xyxy float32, scores (M,) and labels (M,), best first."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


class DetectionBatch(NamedTuple):
    """Padded detections of N images: padding has score 0 and label -1."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    num_detections: Tensor

    def unpad(self) -> list[Detections]:
        """Split into one :class:`Detections` an image, without the padding."""
        return [
            Detections(self.boxes[i, :count], self.scores[i, :count], self.labels[i, :count])
            for i, count in enumerate(self.num_detections.tolist())
        ]


class Window(NamedTuple):
    """A part of an image: its upper left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int


class TilePlace(NamedTuple):
    """Where a tile lies in its picture of (height, width); the tiles of a picture follow one another."""

    window: Window
    picture_size: Size
    is_last: bool


class BoxTarget(NamedTuple):
    """Truth of one image: boxes (G, 4) xyxy pixels, labels (G,) in [0, K); G may be 0.

    ``image_id`` is the data file's id; ``original_size`` is the (height, width) of the image file, or of
    the ``tile`` of it that is to be scored.
    """

    boxes: Tensor
    labels: Tensor
    image_id: int
    original_size: Size
    tile: TilePlace | None = None


class MaskTarget(NamedTuple):
    """Truth of one image: mask (H, W) uint8 of class indices, 255 = ignored.

    While training, the mask has the size of the model's input; for evaluation, the original size, which is
    that of the ``tile`` where it is one.
    """

    mask: Tensor
    image_id: int
    original_size: Size
    tile: TilePlace | None = None


class ClassTarget(NamedTuple):
    """Truth of one image: ``label`` in [0, K)."""

    label: int
    image_id: int
    original_size: Size


class PairedTarget(NamedTuple):
    """Truth of one image for two tasks, at the size of the model's input."""

    boxes: BoxTarget
    mask: MaskTarget

    @property
    def image_id(self) -> int:
        """As the boxes' data have it."""
        return self.boxes.image_id


class DetectionSamples(NamedTuple):
    """A batch from a loader: images (N, 3, H, W) uint8 RGB and one target an image."""

    images: Tensor
    targets: list[BoxTarget]


class SegmentationSamples(NamedTuple):
    """A batch from a loader: images (N, 3, H, W) uint8 RGB and one target an image."""

    images: Tensor
    targets: list[MaskTarget]


class ClassificationSamples(NamedTuple):
    """A batch from a loader: images (N, 3, H, W) uint8 RGB and one target an image."""

    images: Tensor
    targets: list[ClassTarget]


class PairedSamples(NamedTuple):
    """A training batch of images (N, 3, H, W) uint8 RGB that carry both boxes and masks."""

    images: Tensor
    targets: list[PairedTarget]


AnyTarget = BoxTarget | MaskTarget | ClassTarget


class MixedTaskSamples(NamedTuple):
    """A training batch of images (N, 3, H, W) uint8 RGB of several tasks, each with the truth of one.

    Those of a task lie together, and in every part that a batch goes through in, the order is the same.
    """

    images: Tensor
    targets: list[AnyTarget]


AnySamples = DetectionSamples | SegmentationSamples | ClassificationSamples
TrainingSamples = AnySamples | PairedSamples | MixedTaskSamples

BOTH = "both"
"""What a batch teaches whose images carry boxes and masks."""

MIXED = "mixed"
"""What a batch teaches that has images of several tasks."""


def task_of(samples: TrainingSamples) -> str:
    """What a batch teaches: detection, segmentation, classification, :data:`BOTH` of the first two, or
    :data:`MIXED`."""
    tasks: dict[type, str] = {
        DetectionSamples: "detection", SegmentationSamples: "segmentation", PairedSamples: BOTH,
        MixedTaskSamples: MIXED,
    }  # fmt: skip
    return tasks.get(type(samples), "classification")


def task_of_target(target: AnyTarget | PairedTarget) -> str:
    """What an image with this truth teaches, in the words of :func:`task_of`."""
    tasks: dict[type, str] = {
        BoxTarget: "detection", MaskTarget: "segmentation", PairedTarget: BOTH,
    }  # fmt: skip
    return tasks.get(type(target), "classification")


def join_names(by_task: Mapping[str, Sequence[str | None]]) -> tuple[str, ...]:
    """Class names of several tasks in one list: ``TASK/NAME``, without a name for a reserved slot."""
    return tuple(f"{task}/{name or ''}" for task, names in by_task.items() for name in names)


def names_by_task(class_names: Sequence[str | None]) -> dict[str, tuple[str | None, ...]]:
    """What :func:`join_names` has joined.

    Raises:
        ValueError: a name says no task.
    """
    by_task: dict[str, tuple[str | None, ...]] = {}
    for joint in class_names:
        task, slash, name = (joint or "").partition("/")
        if not slash:
            raise ValueError(f"the class {joint!r} says no task: write it as detection/{joint or 'car'}.")
        by_task[task] = (*by_task.get(task, ()), name or None)
    return by_task


def stack_detections(detections: list[Detections]) -> DetectionBatch:
    """Pad detections of several images into one batch; the inverse of :meth:`DetectionBatch.unpad`."""
    import torch

    size = max((len(d.scores) for d in detections), default=0)
    boxes = torch.zeros(len(detections), size, 4)
    scores = torch.zeros(len(detections), size)
    labels = torch.full((len(detections), size), -1, dtype=torch.int64)
    for i, (image_boxes, image_scores, image_labels) in enumerate(detections):
        count = len(image_scores)
        boxes[i, :count], scores[i, :count], labels[i, :count] = image_boxes, image_scores, image_labels
    return DetectionBatch(boxes, scores, labels, torch.tensor([len(d.scores) for d in detections]))
