"""What a TensorFlow graph computes, operation by operation, without TensorFlow: the other side of a parity
report. It knows nothing of our models, and only what stands between the layers of MobileNets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.layers import resize_maps
from pocketvision.published.tensorflow.graph import SAME_VALUE, FileGraph, Node, constant
from pocketvision.published.tensorflow.last_resizes import sampling_of

_MAX_DEPTH = 100


class NotRunnableError(Exception):
    """The graph has an operation that is not known here."""


class GraphRun:
    """Values of a graph's nodes as (N, C, H, W) float64, given that of ``source``."""

    def __init__(self, graph: FileGraph, source: str, value: Tensor) -> None:
        self.graph = graph
        self.values: dict[str, Tensor] = {source: value.double()}

    def value(self, name: str, depth: int = 0) -> Tensor:
        """What node ``name`` computes.

        Raises:
            NotRunnableError: it needs an operation that is not known here.
        """
        if name not in self.values:
            node, known = self.graph.get(name), constant(self.graph, name)
            if known is not None:
                self.values[name] = torch.from_numpy(np.array(known))
            elif node is None or depth > _MAX_DEPTH:
                raise NotRunnableError(name)
            else:
                self.values[name] = self._compute(node, depth + 1)
        return self.values[name]

    def _compute(self, node: Node, depth: int) -> Tensor:
        op = node.op
        if op.startswith("FusedBatchNorm"):
            x, *values = (self.value(source, depth) for source in node.inputs[:5])
            gamma, beta, mean, variance = (value.double() for value in values)
            eps = float(node.attributes.get("epsilon") or 1e-4)
            return F.batch_norm(x, mean, variance, gamma, beta, eps=eps)
        if op in SAME_VALUE or op in _SHAPING:  # reshaping happens around pooled maps only
            return self.value(node.inputs[0], depth)
        if op not in _OPERATIONS:
            raise NotRunnableError(op)
        try:
            return _OPERATIONS[op](node, *(self.value(source, depth) for source in node.inputs))
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            raise NotRunnableError(f"{op} of another form") from error


def _image(x: Tensor) -> Tensor:
    """A constant as it is stored, channels last, so that it meets maps; maps stay."""
    if x.dtype == torch.float64 and x.ndim == 4:
        return x
    x = x.double()
    return x.view(-1, 1, 1) if x.ndim == 1 else x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _padded(node: Node, x: Tensor, kernel: tuple[int, int], dilation: int = 1) -> Tensor:
    if node.attributes["padding"] == "VALID":
        return x
    if node.attributes["padding"] != "SAME":
        raise ValueError("explicit padding")
    stride = node.attributes["strides"][1]
    rows, columns = (_pads(x.shape[2 + i], kernel[i], stride, dilation) for i in (0, 1))
    return F.pad(x, (*columns, *rows))


def _convolve(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    kernel, dilation = kernel.double(), max([1, *node.attributes.get("dilations", ())])
    x = _padded(node, x, (kernel.shape[0], kernel.shape[1]), dilation)
    stride = node.attributes["strides"][1]
    if node.op == "Conv2D":
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), None, stride, 0, dilation)
    weight = kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None]
    return F.conv2d(x, weight, None, stride, 0, dilation, groups=x.shape[1])


def _multiply(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    kernel = kernel.double()
    kernel = kernel.T if node.attributes.get("transpose_b") else kernel
    return (x.flatten(1) @ kernel)[:, :, None, None]


def _pool(node: Node, x: Tensor) -> Tensor:
    kernel, stride = node.attributes["ksize"][1:3], node.attributes["strides"][1:3]
    if node.attributes["padding"] == "SAME" and list(kernel) != list(x.shape[2:]):
        raise ValueError("a pooling that sees its padding")
    return F.avg_pool2d(x, kernel, stride)


def _mean(node: Node, x: Tensor, axes: Tensor) -> Tensor:
    if sorted(axes.flatten().tolist()) != [1, 2]:
        raise ValueError("a mean over channels")
    return x.mean((2, 3), keepdim=True)


def _resize(node: Node, x: Tensor, size: Tensor) -> Tensor:
    height, width = (int(side) for side in size)
    if x.shape[2:] == (1, 1):
        return x.expand(-1, -1, height, width)
    return resize_maps(x, (height, width), sampling_of(node))


def _to_batch(node: Node, x: Tensor, block: Tensor, pads: Tensor) -> Tensor:
    rows, columns = (int(side) for side in block)
    (top, bottom), (left, right) = pads.tolist()
    x = F.pad(x, (left, right, top, bottom))
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // rows, rows, w // columns, columns)
    return x.permute(3, 5, 0, 1, 2, 4).reshape(rows * columns * n, c, h // rows, w // columns)


def _from_batch(node: Node, x: Tensor, block: Tensor, crops: Tensor) -> Tensor:
    rows, columns = (int(side) for side in block)
    (top, bottom), (left, right) = crops.tolist()
    n, (c, h, w) = len(x) // (rows * columns), x.shape[1:]
    x = x.reshape(rows, columns, n, c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n, c, h * rows, w * columns)
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _pad(node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None) -> Tensor:
    (_, _), (top, bottom), (left, right), (_, _) = pads.tolist()
    return F.pad(x, (left, right, top, bottom), value=0.0 if value is None else float(value))


def _activate(node: Node, x: Tensor) -> Tensor:
    """The activation that a quantized tensor's range stands for. What else a range cuts off is rounding's,
    as is every step in it: real numbers have neither."""
    low, high = node.attributes["range"]
    x = x.relu() if low == 0 else x
    return x.clamp(max=6) if low == 0 and math.isclose(high, 6, rel_tol=0.01) else x


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "Conv2D": _convolve,
    "DepthwiseConv2dNative": _convolve,
    "MatMul": _multiply,
    "BiasAdd": lambda node, x, y: _image(x) + _image(y),
    "Add": lambda node, x, y: _image(x) + _image(y),
    "AddV2": lambda node, x, y: _image(x) + _image(y),
    "Sub": lambda node, x, y: _image(x) - _image(y),
    "Mul": lambda node, x, y: _image(x) * _image(y),
    "RealDiv": lambda node, x, y: _image(x) / _image(y),
    "Relu": lambda node, x: x.relu(),
    "Relu6": lambda node, x: x.clamp(0, 6),
    "Clamp": _activate,
    "Maximum": lambda node, x, y: torch.maximum(_image(x), _image(y)),
    "Minimum": lambda node, x, y: torch.minimum(_image(x), _image(y)),
    "HARD_SWISH": lambda node, x: F.hardswish(x),
    "Sigmoid": lambda node, x: x.sigmoid(),
    "LOGISTIC": lambda node, x: x.sigmoid(),
    "Mean": _mean,
    "AvgPool": _pool,
    "Pad": _pad,
    "PadV2": _pad,
    "ResizeBilinear": _resize,
    "RESIZE_BILINEAR": _resize,
    "SpaceToBatchND": _to_batch,
    "BatchToSpaceND": _from_batch,
    "ConcatV2": lambda node, *x: torch.cat([part for part in x if part.ndim == 4], dim=1),
}

_SHAPING = {"Reshape", "Squeeze", "ExpandDims"}
_KNOWN = {*_OPERATIONS, *SAME_VALUE, *_SHAPING}
_ENDS = ("Placeholder", "Shape")


def unknown_operators(graph: FileGraph, nodes: Sequence[str], stems: Sequence[str]) -> list[str]:
    """Operators between the layers ``stems``, which read the image, and ``nodes`` that are not known here."""
    todo, seen, found = list(nodes), {*nodes, *stems}, dict[str, None]()
    while todo:
        node = graph.get(todo.pop())
        if node is None or node.op in _ENDS or node.read is not None:
            continue
        if node.op not in _KNOWN and not node.op.startswith("FusedBatchNorm"):
            found[node.op] = None
        for source in node.inputs[:1] if node.op in _SHAPING else node.inputs:
            if source not in seen:
                seen.add(source)
                todo.append(source)
    return list(found)
