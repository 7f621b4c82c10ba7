"""Find the layers of a graph: kernels with their bias, BatchNorm and place among the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.graph import (
    MAX_SIZE,
    ConstantValue,
    FileGraph,
    Node,
    constant,
    skip_copies,
)
from pocketvision.published.tensorflow.layers import (
    FileActivation,
    FileArray,
    FilePadding,
    Layer,
    Links,
    Norm,
    conv_kernel,
    dense_kernel,
    depthwise_kernel,
)

_LAYERS: dict[str, tuple[int, Callable[[FileArray], FileArray]]] = {
    "Conv2D": (4, conv_kernel),
    "DepthwiseConv2dNative": (4, depthwise_kernel),
    "MatMul": (2, dense_kernel),
}
_TRANSPARENT = {
    "Identity", "CheckNumerics", "BatchToSpaceND", "Reshape", "Squeeze",
    "ExpandDims", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
}  # fmt: skip
"""What may stand between a layer and its bias or BatchNorm."""
_MAX_TOTAL = 1 << 25
_SIZES = {"Shape", "Size", "Rank", "ShapeN"}
_POOLING = {"AvgPool", "Mean"}
_CLAMPS = {"Relu": (0.0, np.inf), "Relu6": (0.0, 6.0)}
_ACTIVATIONS: dict[str, FileActivation] = {"Relu": "relu", "Relu6": "relu6"}


def find_layers(graph: FileGraph) -> list[Layer]:
    """All layers of a graph whose kernels are constants, in the order of the file.

    A BatchNorm is recognized fused and as arithmetic; other arithmetic with constants is folded
    into kernel and bias.

    Raises:
        InputError: a kernel or a BatchNorm has the wrong shape, or the kernels claim to be more than
            any MobileNet's.
    """
    consumers: dict[str, list[str]] = defaultdict(list)
    for node in graph.values():
        for source in node.inputs if node.op not in _SIZES else ():
            consumers[source].append(node.name)
    kernels: dict[str, FileArray] = {}
    for node in graph.values():
        if (kernel := _kernel(graph, node)) is not None:
            kernels[node.name] = kernel
            if sum(kernel.size for kernel in kernels.values()) > _MAX_TOTAL:
                raise InputError(f"Its kernels have more than {_MAX_TOTAL} numbers: no MobileNet does.")
    position = {name: index for index, name in enumerate(kernels)}
    return [
        replace(
            _with_arithmetic(graph, consumers, graph[name], kernel),
            links=_links(graph, graph[name], position),
        )
        for name, kernel in kernels.items()
    ]


def _kernel(graph: FileGraph, node: Node) -> FileArray | None:
    if node.op not in _LAYERS or len(node.inputs) < 2:
        return None
    value = constant(graph, node.inputs[1])
    if value is None:
        return None
    dimensions, to_torch = _LAYERS[node.op]
    if value.ndim != dimensions or value.size > MAX_SIZE:
        raise InputError(f"The kernel of {node.name} has shape {value.shape}: export the graph again.")
    kernel = value.T if node.attributes.get("transpose_b") else value
    return to_torch(kernel)


def _with_arithmetic(
    graph: FileGraph, consumers: dict[str, list[str]], node: Node, kernel: FileArray
) -> Layer:
    """The layer of ``node`` with every per-channel operation that follows it."""
    layer = Layer(_scope(node.name), kernel, node.op == "DepthwiseConv2dNative", node=node.name)
    before = node.name
    for following in _chain(consumers, graph, node.name):
        if following.op.startswith("FusedBatchNorm"):
            if layer.norm is not None:
                break
            layer = replace(layer, norm=_fused_norm(graph, following, len(kernel)))
        elif following.op in _CLAMPS or following.op == "Clamp":
            low, high = _CLAMPS.get(following.op) or following.attributes["range"]
            old = layer.clamp or (-np.inf, np.inf)
            activation = layer.activation or _ACTIVATIONS.get(following.op)
            layer = replace(layer, clamp=(max(low, old[0]), min(high, old[1])), activation=activation)
        elif following.op not in _TRANSPARENT:
            if layer.clamp is not None or (changed := _affine(graph, layer, following, before)) is None:
                break
            layer = changed
        before = following.name
    return replace(_finished_norm(layer), end=before)


def _chain(consumers: dict[str, list[str]], graph: FileGraph, name: str) -> Iterator[Node]:
    """The nodes after ``name`` as long as there is one only."""
    seen = {name}
    while len(consumers[name]) == 1 and (name := consumers[name][0]) not in seen:
        seen.add(name)
        yield graph[name]


def _affine(graph: FileGraph, layer: Layer, node: Node, before: str) -> Layer | None:
    """``layer`` with an operation that adds or multiplies a constant per channel, None for any other.

    A scalar is none of them: it is part of a hard sigmoid.
    """
    channels = len(layer.kernel)
    if node.op not in ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv") or len(node.inputs) != 2:
        return None
    is_first = node.inputs[0] == before
    other = node.inputs[1] if is_first else node.inputs[0]
    value = constant(graph, other)
    if value is None or value.size != channels or value.ndim == 0:
        return None
    if node.op == "Mul" and layer.norm is None and (norm := _norm_scale(graph, other, channels)) is not None:
        return replace(layer, norm=norm)
    if not is_first and node.op in ("Sub", "RealDiv"):
        return None
    value = np.asarray(value.reshape(-1), dtype=np.float32)
    if node.op in ("Mul", "RealDiv"):
        scale: FileArray = value if node.op == "Mul" else np.reciprocal(value)
        return _scaled(layer, scale)
    if layer.norm is not None and np.isnan(layer.norm.beta).all():
        return replace(layer, norm=_norm_shift(graph, other, layer.norm, value))
    return _shifted(layer, -value if node.op == "Sub" else value)


def _scaled(layer: Layer, scale: FileArray) -> Layer:
    if layer.norm is not None:
        norm = replace(layer.norm, gamma=layer.norm.gamma * scale, beta=layer.norm.beta * scale)
        return replace(layer, norm=norm)
    bias = None if layer.bias is None else layer.bias * scale
    return replace(layer, kernel=layer.kernel * scale[:, None, None, None], bias=bias)


def _shifted(layer: Layer, shift: FileArray) -> Layer:
    if layer.norm is not None:
        return replace(layer, norm=replace(layer.norm, beta=layer.norm.beta + shift))
    return replace(layer, bias=shift if layer.bias is None else layer.bias + shift)


def _fused_norm(graph: FileGraph, node: Node, channels: int) -> Norm:
    values = [constant(graph, source) for source in node.inputs[1:5]]
    if len(values) != 4 or any(value is None or value.shape != (channels,) for value in values):
        raise InputError(
            f"{node.name} has no constant statistics for each of {channels} channels: "
            "freeze the graph for inference, not for training."
        )
    gamma, beta, mean, variance = (np.asarray(value, dtype=np.float32) for value in values)
    return Norm(gamma, beta, mean, variance, float(node.attributes.get("epsilon") or 1e-4))


def _norm_scale(graph: FileGraph, name: str, channels: int) -> Norm | None:
    """The BatchNorm whose scale, gamma / sqrt(variance + eps), ``name`` computes; beta is still missing."""
    node = skip_copies(graph, name)
    gamma: ConstantValue | None = np.ones(channels, dtype=np.float32)
    if node is not None and node.op == "Mul":
        roots = [source for source in node.inputs if (n := skip_copies(graph, source)) and n.op == "Rsqrt"]
        others = [source for source in node.inputs if source not in roots]
        if len(roots) != 1 or len(others) != 1:
            return None
        node, gamma = skip_copies(graph, roots[0]), constant(graph, others[0])
    total = skip_copies(graph, node.inputs[0]) if node is not None and node.op == "Rsqrt" else None
    if total is None or total.op not in ("Add", "AddV2") or gamma is None:
        return None
    parts = [value for source in total.inputs if (value := constant(graph, source)) is not None]
    variances = [part for part in parts if part.size == channels and part.ndim]
    epsilons = [part for part in parts if part.ndim == 0]
    if len(variances) != 1 or len(epsilons) != 1:
        return None
    missing = np.full(channels, np.nan, dtype=np.float32)
    variance = variances[0].reshape(-1).astype(np.float32)
    return Norm(gamma.reshape(-1).astype(np.float32), missing, missing, variance, float(epsilons[0]))


def _norm_shift(graph: FileGraph, name: str, norm: Norm, shift: FileArray) -> Norm:
    """Complete a BatchNorm by its shift, beta - mean * scale, which ``name`` computes."""
    node = skip_copies(graph, name)
    scale = norm.gamma / np.sqrt(norm.variance + norm.eps)
    if node is not None and node.op == "Sub":
        beta = constant(graph, node.inputs[0])
        if beta is not None and beta.size == len(scale):
            beta = beta.reshape(-1).astype(np.float32)
            product = skip_copies(graph, node.inputs[1])
            for source in product.inputs if product is not None and product.op == "Mul" else ():
                mean = constant(graph, source)
                if mean is not None and np.allclose(beta - mean * scale, shift, rtol=1e-4, atol=1e-5):
                    return replace(norm, beta=beta, mean=mean.reshape(-1).astype(np.float32))
    return replace(norm, beta=shift, mean=np.zeros_like(shift))


def _finished_norm(layer: Layer) -> Layer:
    """A BatchNorm of which only the scale was found has no shift."""
    if layer.norm is None or not np.isnan(layer.norm.mean).all():
        return layer
    zeros = np.zeros_like(layer.norm.mean)
    return replace(layer, norm=replace(layer.norm, mean=zeros, beta=np.nan_to_num(layer.norm.beta)))


def _links(graph: FileGraph, node: Node, position: dict[str, int]) -> Links:
    inputs, is_pooled = _sources(graph, node.inputs[0], position)
    block, pads = 1, None
    before = skip_copies(graph, node.inputs[0])
    if before is not None and before.op in ("SpaceToBatchND", "Pad", "PadV2") and len(before.inputs) > 1:
        value = constant(graph, before.inputs[1])
        is_pad = before.op != "SpaceToBatchND"
        block = int(value.flat[0]) if not is_pad and value is not None and value.size else 1
        pads = value if is_pad else None
    parts = before.inputs if before is not None and before.op in ("ConcatV2", "CONCATENATION") else ()
    parts = tuple(part for part in parts if constant(graph, part) is None)
    stride = max([1, *node.attributes.get("strides", ())])
    return Links(
        inputs,
        is_pooled,
        stride,
        dilation=max([1, block, *node.attributes.get("dilations", ())]),
        padding=_padding(node, stride, pads),
        parts=tuple(_sources(graph, part, position)[0] for part in parts),
    )


def _sources(graph: FileGraph, name: str, position: dict[str, int]) -> tuple[frozenset[int], bool]:
    """The layers that reach ``name`` without passing another, and whether there is a pooling on the way."""
    inputs, is_pooled = set(), False
    todo, seen = [name], set()
    while todo:
        name = todo.pop()
        if name in seen or name not in graph:
            continue
        seen.add(name)
        node = graph[name]
        if name in position:
            inputs.add(position[name])
        elif node.op not in _SIZES and node.read is None:
            is_pooled |= node.op in _POOLING
            todo += node.inputs
    return frozenset(inputs), is_pooled


def _padding(node: Node, stride: int, pads: ConstantValue | None) -> FilePadding | None:
    """Only at a stride do TensorFlow's SAME and symmetric padding differ."""
    if stride == 1 or node.op == "MatMul":
        return None
    if pads is not None and pads.ndim == 2 and pads.shape[1] == 2:
        return "torch" if (pads[:, 0] == pads[:, 1]).all() else "same"
    return "same" if node.attributes.get("padding") == "SAME" else None


def _scope(name: str) -> str:
    """``scope/Conv2D`` -> ``scope``."""
    scope, _, operation = name.rpartition("/")
    is_operation = operation.split("_")[0] in ("Conv2D", "MatMul", "depthwise", "separable")
    return scope if scope and (is_operation or operation == "BiasAdd") else name
