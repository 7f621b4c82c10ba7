"""The sockets: what a part must offer to be plugged into a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pocketvision.core.structures import (
    BoxTarget,
    ClassTarget,
    DetectionBatch,
    DetectionOutput,
    FeatureInfo,
    Features,
    MaskTarget,
    Size,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

Library = Literal["torchvision", "timm"]
"""Whose names of layers a part may know."""


class Backbone(Protocol):
    """(N, 3, H, W) normalized float images -> features, declared beforehand in ``feature_info``.

    A pyramid is a backbone around another one, which it keeps as ``backbone``: weights that start a
    training and a learning rate of their own are for the innermost, see :func:`body_of`.
    """

    feature_info: dict[str, FeatureInfo]

    def __call__(self, images: Tensor) -> Features: ...


class DetectionHead(Protocol):
    """Features -> class_logits (N, A, C), box_deltas (N, A, 4)."""

    def __call__(self, features: Features) -> tuple[Tensor, Tensor]: ...


class SegmentationHead(Protocol):
    """Features -> logits (N, K, h, w)."""

    def __call__(self, features: Features) -> Tensor: ...


class ClassificationHead(Protocol):
    """Features -> class_logits (N, K)."""

    def __call__(self, features: Features) -> Tensor: ...


class Anchors(Protocol):
    """Anchor layout: how many anchors a cell has on each feature map, and where they lie."""

    def num_anchors(self, num_maps: int) -> list[int]: ...

    def __call__(self, map_sizes: list[Size], image_size: Size) -> Tensor: ...


class BoxCoder(Protocol):
    """Boxes <-> deltas relative to anchors; all (..., 4)."""

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor: ...

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor: ...


class DetectionLoss(Protocol):
    """Predictions and truth -> named scalars whose sum is minimized."""

    def __call__(self, output: DetectionOutput, targets: list[BoxTarget]) -> dict[str, Tensor]: ...


class SegmentationLoss(Protocol):
    """Logits at the size of the masks and truth -> named scalars whose sum is minimized."""

    def __call__(self, logits: Tensor, targets: list[MaskTarget]) -> dict[str, Tensor]: ...


class ClassificationLoss(Protocol):
    """class_logits (N, K) and truth -> named scalars whose sum is minimized."""

    def __call__(self, class_logits: Tensor, targets: list[ClassTarget]) -> dict[str, Tensor]: ...


class Postprocess(Protocol):
    """Raw output -> final detections in pixels of the model's input."""

    def __call__(self, output: DetectionOutput, image_size: Size) -> DetectionBatch: ...


# What a part may offer besides. Without it the part works, and what needs it says so in a sentence.


@runtime_checkable
class HasPublishedNames(Protocol):
    """A part whose layers have names in another library, too: its weights can be converted."""

    def published_names(self, library: Library) -> dict[str, str]: ...


@runtime_checkable
class HasImagenetFile(Protocol):
    """A backbone that torchvision has a classifier of: ``weights="imagenet"`` is what lies at the URL."""

    @property
    def imagenet_url(self) -> str | None: ...


@runtime_checkable
class HasDeltaRange(Protocol):
    """A detection head whose deltas lie in a range, whatever it learns: (least, largest)."""

    @property
    def delta_range(self) -> tuple[float, float]: ...


@runtime_checkable
class HasLayers(Protocol):
    """A backbone that can be frozen up to a feature and learn more slowly layer by layer.

    ``layers_until(feature)`` are the layers that compute a feature, in order; ``layer_groups()`` all of them
    from the image on, in the steps by which ``layer_decay`` lowers the learning rate.
    """

    def layers_until(self, feature: str) -> list[nn.Module]: ...

    def layer_groups(self) -> list[list[nn.Module]]: ...


@runtime_checkable
class HasClassLayers(Protocol):
    """A head that names its layers with rows for classes, so that another list of classes can start from it.

    Each is a convolution or linear layer with a bias whose rows are classes, once or for several anchors.
    """

    def class_layers(self) -> list[str]: ...


@runtime_checkable
class CountsTruth(Protocol):
    """A loss that says what it divides by, so that a batch in parts need not be computed twice.

    ``counts`` are what a call with these targets asks :func:`~pocketvision.core.distributed.joint_normalizer`
    for, in its order; ``output`` is one of the model's, of whichever images. None: they depend on the output.
    """

    def counts(self, output: Any, targets: Sequence[Any]) -> list[Tensor] | None: ...


def body_of(backbone: Backbone) -> nn.Module:
    """The innermost backbone of pyramids."""
    from torch import nn

    body: Any = backbone
    # A ``backbone`` without declared features is a part of one.
    while isinstance(getattr(getattr(body, "backbone", None), "feature_info", None), Mapping):
        body = body.backbone
    assert isinstance(body, nn.Module)
    return body
