"""What every TensorFlow file is brought to: layers with weights, in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FileArray = npt.NDArray[np.float32]
FilePadding = Literal["torch", "same"]
FileActivation = Literal["relu", "relu6", "hardswish"]


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm's parameters, each (C,)."""

    gamma: FileArray
    beta: FileArray
    mean: FileArray
    variance: FileArray
    eps: float


@dataclass(frozen=True)
class Links:
    """Where a layer stands in its graph.

    ``inputs`` are the positions of the layers whose outputs reach this one without passing another
    layer; ``is_pooled`` says that a pooling lies on the way. Where tensors are concatenated right
    before the layer, ``parts`` has the inputs of each in order. ``padding`` is None where stride, size
    or file leave open which it is.
    """

    inputs: frozenset[int]
    is_pooled: bool = False
    stride: int = 1
    dilation: int = 1
    padding: FilePadding | None = None
    parts: tuple[frozenset[int], ...] = ()


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or fully connected layer and what belongs to it.

    ``kernel`` is (out, in / groups, height, width), 1x1 for a fully connected layer. ``bias`` is
    added before ``norm``; a folded BatchNorm is already inside ``kernel`` and ``bias``. ``links`` is
    None where the file holds no graph. ``clamp`` is the range to which the file cuts the output,
    ``activation`` the operation that says so, if there is one; ``node`` is its operation in a graph, ``end``
    the last one that belongs to it.
    ``is_scored`` tells a detector's classes from its boxes: a sigmoid or softmax follows the last layer.
    """

    name: str
    kernel: FileArray
    is_depthwise: bool
    bias: FileArray | None = None
    norm: Norm | None = None
    links: Links | None = None
    clamp: tuple[float, float] | None = None
    activation: FileActivation | None = None
    node: str = ""
    end: str = ""
    is_scored: bool | None = None


def last_layers(layers: Sequence[Layer]) -> list[Layer]:
    """The layers of a graph that no other reads."""
    used = frozenset[int]().union(*(layer.links.inputs for layer in layers if layer.links))
    return [layer for index, layer in enumerate(layers) if index not in used]


def conv_kernel(kernel: FileArray) -> FileArray:
    """TensorFlow's (height, width, in, out) -> (out, in, height, width)."""
    return np.asarray(kernel.transpose(3, 2, 0, 1), dtype=np.float32)


def depthwise_kernel(kernel: FileArray) -> FileArray:
    """TensorFlow's (height, width, in, multiplier) -> (in * multiplier, 1, height, width)."""
    height, width, channels, multiplier = kernel.shape
    rows = kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    return np.asarray(rows, dtype=np.float32)


def dense_kernel(kernel: FileArray) -> FileArray:
    """TensorFlow's (in, out) -> (out, in, 1, 1)."""
    return np.asarray(kernel.T[:, :, None, None], dtype=np.float32)
