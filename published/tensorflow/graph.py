"""The common form of TensorFlow's graphs: operations by name, and what constants evaluate to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.structures import Size

ConstantValue = npt.NDArray[Any]

MAX_SIZE = 1 << 24
"""Numbers in a constant beyond which it is no weight of a MobileNet, whose largest has 2 million."""
_MAX_WORK, _STEP_WORK = 1 << 24, 1 << 14
"""Numbers that evaluating one constant may compute, and what an operation costs at least."""
_MAX_DEPTH = 60
SAME_VALUE = {
    "Identity", "ReadVariableOp", "StopGradient", "Cast", "CheckNumerics", "EnsureShape",
    "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
}  # fmt: skip
"""Operations that give their first input on; fake quantization does up to its rounding."""
_AROUND = ("Pad", "PadV2", "SpaceToBatchND")
"""What belongs to a layer, though it stands before it."""
_ARITHMETIC: Mapping[str, Callable[..., ConstantValue]] = {
    "Add": np.add,
    "AddV2": np.add,
    "BiasAdd": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Sqrt": np.sqrt,
    "Neg": np.negative,
}


@dataclass(frozen=True)
class Node:
    """One operation, called as in TensorFlow's graphs (``Conv2D``, ``FusedBatchNorm`` ...).

    ``inputs`` are names of nodes. ``attributes`` are numbers, text or lists of them. ``read`` gives
    a constant's value; other nodes have none.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[], ConstantValue] | None = None


FileGraph = dict[str, Node]
"""Nodes by name."""


def skip_copies(graph: FileGraph, name: str) -> Node | None:
    """The node behind ``name`` and operations that only give on a value; None where there is none."""
    for _ in range(_MAX_DEPTH):
        node = graph.get(name)
        if node is None or node.op not in SAME_VALUE or not node.inputs:
            return node
        name = node.inputs[0]
    return None


def constant(graph: FileGraph, name: str) -> ConstantValue | None:
    """The value of a node that depends on constants only, None for any other.

    Arithmetic is evaluated as long as it broadcasts to the shape of one of its operands, and as far
    as weights need it: a small file can describe any amount of it.
    """
    return _Evaluation(graph).value(name, 0)


def placeholder_size(graph: FileGraph) -> Size | None:
    """Rows and columns of the images that the graph is for; None where its placeholder takes any."""
    for node in graph.values():
        shape: Any = node.attributes.get("shape", ()) if node.op == "Placeholder" else ()
        shape = [side.size for side in shape.dim] if hasattr(shape, "dim") else shape
        if len(shape) == 4 and min(shape[1:3]) > 1:
            return int(shape[1]), int(shape[2])
    return None


def read_by(graph: FileGraph, name: str) -> str:
    """The node whose value the layer called ``name`` reads, before what pads it."""
    source = graph[name].inputs[0]
    before = skip_copies(graph, source)
    return before.inputs[0] if before is not None and before.op in _AROUND else source


def reached_from(graph: FileGraph, name: str) -> set[str]:
    """The nodes that ``name`` depends on, and itself."""
    todo, seen = [name], {name}
    while todo:
        node = graph.get(todo.pop())
        for source in node.inputs if node is not None else ():
            if source not in seen:
                seen.add(source)
                todo.append(source)
    return seen


class _Evaluation:
    def __init__(self, graph: FileGraph) -> None:
        self.graph, self.work_left = graph, _MAX_WORK

    def value(self, name: str, depth: int) -> ConstantValue | None:
        node = skip_copies(self.graph, name)
        self.work_left -= _STEP_WORK
        if node is None or depth > _MAX_DEPTH or self.work_left < 0:
            return None
        if node.read is not None:
            return node.read()
        if node.op in ("Reshape", "Squeeze", "ExpandDims") and node.inputs:
            return self._reshaped(node, depth)
        return self._arithmetic(node, depth) if node.op in _ARITHMETIC else None

    def _reshaped(self, node: Node, depth: int) -> ConstantValue | None:
        """A reshaped constant; without a shape that fits, as it was."""
        value = self.value(node.inputs[0], depth + 1)
        is_stated = node.op == "Reshape" and len(node.inputs) > 1
        shape = self.value(node.inputs[1], depth + 1) if value is not None and is_stated else None
        if value is None or shape is None or shape.ndim != 1 or shape.dtype.kind != "i":
            return value
        try:
            return value.reshape([int(side) for side in shape])
        except ValueError:
            return value

    def _arithmetic(self, node: Node, depth: int) -> ConstantValue | None:
        operands = []
        for source in node.inputs:
            value = self.value(source, depth + 1)
            if value is None or value.size > MAX_SIZE:
                return None
            operands.append(value)
        try:
            size = math.prod(np.broadcast_shapes(*(value.shape for value in operands)))
            self.work_left -= size
            if not operands or size > max(value.size for value in operands) or self.work_left < 0:
                return None
            with np.errstate(all="ignore"):
                return np.asarray(_ARITHMETIC[node.op](*operands))
        except (ValueError, TypeError):
            return None
