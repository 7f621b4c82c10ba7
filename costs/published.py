"""What a published cost is: the row as its source prints it, and how the source counts.

Figures are strings, so that the printed digits stay known. A ``model`` is what ``pocketvision cost``
takes: a backbone and its options. The rows are in ``core/*_costs.py``, one file a task.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

CountingConvention = Literal[
    "plain",
    "without norm",
    "slim",
    "folded",
    "body",
    "head",
    "activations",
    "deeplab",
    "deeplab, padded",
    "deeplab, 6 forwards",
    "deeplab, 12 forwards",
]

CONVENTIONS: dict[CountingConvention, str] = {
    "plain": "multiply-adds of convolutions and linear layers, every parameter",
    "without norm": "parameters without BatchNorm's",
    "slim": "BatchNorm's shift, mean and variance are parameters, its scale is none; slim's variables",
    "folded": "parameters with BatchNorm folded into the convolutions: one bias a channel",
    "body": "without the classifier and BatchNorm's parameters",
    "head": "the head and its extra blocks alone, without BatchNorm's parameters",
    "activations": "one more multiply-add an element of squeeze-and-excitation's scaling, two a hard-swish "
    "output; no source says so, but V3's tables 6, 7 and 8 then fit",
    "deeplab": "as activations; one more an element of the final resizing: all 19 figures of V3's tables 7 "
    "and 8 then fit within 0.7 %",
    "deeplab, padded": "as deeplab; the head's dilated convolutions on maps padded to a multiple of their "
    "rate (33 to 36): a hypothesis that fits",
    "deeplab, 6 forwards": "as deeplab; scales 0.75, 1 and 1.25 and their mirror images",
    "deeplab, 12 forwards": "as deeplab, padded; scales 0.5 to 1.75 by 0.25 and their mirror images",
}


class PublishedCost(NamedTuple):
    """A printed row; None where the source has no figure. ``flops`` are two a multiply-add.

    ``params_as`` and ``madds_as`` say how the source counts, ``erratum`` why a figure can't be met.
    """

    source: str
    model: str
    params: str | None
    madds: str | None
    params_as: CountingConvention = "plain"
    madds_as: CountingConvention = "plain"
    erratum: str = ""
    flops: str | None = None


class PublishedLayer(NamedTuple):
    """A 3x3 convolution, full or depthwise and then 1x1, on a map of ``size`` x ``size``."""

    source: str
    model: str
    kind: Literal["full", "separable"]
    channels: int
    size: int
    params: str
    madds: str
    erratum: str = ""


class PublishedMemory(NamedTuple):
    """The largest feature at a resolution of a 224x224 image, in kB at 16 bits.

    ``feature`` is a backbone's, ``"pooled"`` the deepest one's average, ``"largest"`` that of c1 to c5.
    """

    source: str
    model: str
    feature: str
    memory: str
    erratum: str = ""


class PublishedShare(NamedTuple):
    """Percent of a model's multiply-adds and parameters in one kind of layers."""

    source: str
    model: str
    layers: str
    madds: str
    params: str
    erratum: str = ""


Published = PublishedCost | PublishedLayer | PublishedMemory | PublishedShare
V1, V2, V3 = "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large"
SMALL = "mobilenet_v3_small"
