"""TensorFlow's frozen graphs (GraphDef, .pb) -> nodes and constants, without TensorFlow.

The message classes come with the tensorboard package (tensorflow/core/framework/graph.proto).
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.graph import ConstantValue, FileGraph, Node

# tensorflow/core/framework/types.proto -> NumPy type and the field that may hold values one by one.
_TYPES: dict[int, tuple[Any, str]] = {
    1:  (np.float32, "float_val"),
    2:  (np.float64, "double_val"),
    3:  (np.int32,   "int_val"),
    4:  (np.uint8,   "int_val"),
    6:  (np.int8,    "int_val"),
    9:  (np.int64,   "int64_val"),
    10: (np.bool_,   "bool_val"),
    19: (np.float16, "half_val"),
}  # fmt: skip
_HALF = 19


def read_frozen_graph(path: Path) -> FileGraph:
    """Nodes of a frozen graph by name, in the order of the file. Constants are read when asked for.

    Raises:
        InputError: the file is missing or no GraphDef; later, a constant's bytes don't fit its shape.
    """
    # Late: it takes a second.
    from tensorboard.compat.proto.graph_pb2 import GraphDef  # type: ignore[import-untyped]

    if not path.is_file():
        raise InputError(f"There is no frozen graph {path}: check the path.")
    graph = GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
        nodes = {node.name: _node(node, path) for node in graph.node}
    except (DecodeError, ValueError) as error:
        raise InputError(
            f"{path} is no frozen TensorFlow graph or is broken: download or export it again."
        ) from error
    if not nodes:
        raise InputError(f"{path} is no frozen TensorFlow graph: it holds no operation.")
    return nodes


def _node(node: Any, path: Path) -> Node:
    inputs = tuple(name.split(":")[0] for name in node.input if not name.startswith("^"))
    attributes = {name: _attribute(value) for name, value in node.attr.items() if name != "value"}
    read = partial(_constant, node, path) if node.op == "Const" else None
    return Node(node.name, node.op, inputs, attributes, read)


def _attribute(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "list":
        return list(value.list.i) or list(value.list.f)
    return value.s.decode(errors="replace") if kind == "s" else getattr(value, kind) if kind else None


def _constant(node: Any, path: Path) -> ConstantValue:
    """A Const node's value. One that is stored once for a whole shape takes no more memory than that."""
    tensor = node.attr["value"].tensor
    if tensor.dtype not in _TYPES:
        raise InputError(
            f"{path}: constant {node.name} has a type that weights don't have: export it as float."
        )
    dtype, field = _TYPES[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    content = tensor.tensor_content
    if len(content) % np.dtype(dtype).itemsize:
        values = np.zeros(0)
    elif content:
        values = np.frombuffer(content, dtype)
    elif tensor.dtype == _HALF:
        values = np.array(tensor.half_val, dtype=np.uint16).view(np.float16)
    else:
        values = np.array(getattr(tensor, field), dtype=dtype)
    size = math.prod(shape)
    if min(shape, default=1) < 0 or len(values) not in (size, 1):
        raise InputError(
            f"{path} is broken: constant {node.name} has shape {shape} but {len(values)} values. "
            "Download or export it again."
        )
    return values.reshape(shape) if len(values) == size else np.broadcast_to(values[0], shape)
