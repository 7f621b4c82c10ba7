"""Why an imported model does not compute what its file does: what its first differing layer says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from pocketvision.models import VisionModel
from pocketvision.published.tensorflow.graph import FileGraph, Node, constant, skip_copies
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import Layer
from pocketvision.published.tensorflow.model_layers import ModelLayer, model_layers

_TOLERANCE = 0.02
"""How far the file's scale and shift may be from the model's: quantized inputs round them."""
_MAX_STEPS = 20
_USUAL_RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
_CALIBRATION = 0.06
"""Share of a range that the pictures of a calibration may have left unused."""
_ARITHMETIC = ("Sub", "Mul", "RealDiv", "Add", "AddV2")
_GEOMETRY = (
    "Pad", "PadV2", "Squeeze", "ExpandDims", "Reshape", "ResizeBilinear", "RESIZE_BILINEAR", "Clamp",
)  # fmt: skip
"""What leaves the values of pixels as they are; a quantized tensor's range cuts none of them."""
_UNKNOWN = "likely by a resize, a pooling or a sum that the model has in another form"

_Triple = tuple[float, float, float]
_Floats = npt.NDArray[np.float64]


def describe_cause(
    model: VisionModel, graph: FileGraph, nodes: Mapping[str, str], reached: str, difference: str
) -> str:
    """The layer whose output is the first to differ, and what differs about it.

    ``reached`` is the first layer of ours that gets another input than in the file, ``nodes`` are the
    file's nodes of our layers, ``difference`` says how far they are apart.
    """
    own = {layer.name: layer for layer in model_layers(model, model.resize.image_size)}
    found = {layer.node: layer for layer in find_layers(graph)}
    before = [list(own)[index] for index in sorted(own[reached].links.inputs, reverse=True)]
    known = [(name, own[name], found[nodes[name]]) for name in before if name in nodes]
    for name, mine, theirs in known:
        if cause := _compare(mine, theirs):
            return f"{name} is the first layer that differs, by its {cause} (what follows it {difference})"
    name = known[0][0] if known else reached
    return f"{name} is the first layer that differs, {_UNKNOWN} (what follows it {difference})"


def _compare(mine: ModelLayer, theirs: Layer) -> str | None:
    links = theirs.links
    if links is None:
        return None
    activation = theirs.activation or ("relu6" if theirs.clamp == (0.0, 6.0) else None)
    facts: dict[str, tuple[Any, Any]] = {
        "dilation": (mine.links.dilation, links.dilation),
        "stride": (mine.links.stride, links.stride),
        "padding": (mine.links.padding, links.padding or mine.links.padding),
        "activation": (mine.activation, activation or mine.activation),
    }
    for name, (ours, other) in facts.items():
        if ours != other:
            return f"{name}: {ours or 'none'} in the model, {other or 'none'} in the file"
    return None


def describe_convolutions(ours: nn.Module, theirs: nn.Module) -> str:
    """What differs between two convolutions whose outputs do."""
    for name in ("stride", "dilation", "padding"):
        a, b = getattr(ours, name, None), getattr(theirs, name, None)
        if a != b:
            return f"by its {name}: {a} in the model, {b} in the file"
    return "by its weights, or by the activation, normalization or padding before it"


def describe_preprocessing(model: VisionModel, graph: FileGraph, source: str) -> str | None:
    """How the file normalizes pixels, where its graph says so and the model does otherwise; else None.

    ``source`` is the node whose value the first layer reads.
    """
    stated = file_normalization(graph, source)
    if stated is None:
        return None
    mean, std = stated
    passport = model.passport()
    is_same = all(abs(m - other) <= _TOLERANCE for m, other in zip(passport["mean"], mean, strict=True))
    if is_same and all(
        abs(s / other - 1) <= _TOLERANCE for s, other in zip(passport["std"], std, strict=True)
    ):
        return None
    return (
        f"the preprocessing differs before the first layer: mean {_short(passport['mean'])} and std "
        f"{_short(passport['std'])} in the model, {_short(mean)} and {_short(std)} in the file"
    )


def _short(values: Any) -> str:
    return "/".join(f"{value:.3f}" for value in values)


def file_normalization(graph: FileGraph, source: str) -> tuple[_Triple, _Triple] | None:
    """Mean and std, of pixels in 0..1, that a graph subtracts and divides by before ``source``.

    None where it does neither, or in a form that is not known.
    """
    scale, shift, input_node, has_any = _preparation(graph, source)
    if input_node is not None:
        # Who multiplies pixels by more than 1 has them in 0..1, as TensorFlow Hub's modules do.
        low, high = _input_range(input_node) or (0.0, 1.0 if scale.min() > 1 else 255.0)
        has_any |= "range" in input_node.attributes
        scale, shift = scale * (high - low) / 255, shift + scale * low
    is_plain = input_node is not None or (np.ptp(scale) == 0 and np.ptp(shift) == 0)
    if not has_any or not scale.all() or not is_plain:
        return None
    mean, std = -shift / (255 * scale), 1 / (255 * scale)
    return _triple(mean), _triple(std)


def input_values(graph: FileGraph, source: str, normalized: _Floats) -> _Floats | None:
    """What the graph has to be given, as real numbers (..., 3), for ``source`` to be ``normalized``.

    None where something unknown stands between.
    """
    scale, shift, input_node, _ = _preparation(graph, source)
    if input_node is None or not scale.all():
        return None
    return np.asarray((normalized - shift) / scale, np.float64)


def _preparation(graph: FileGraph, source: str) -> tuple[_Floats, _Floats, Node | None, bool]:
    """Scale and shift between a graph's input and ``source``, the input (None where something unknown stands
    before), and whether there is any arithmetic."""
    scale, shift, has_any = np.ones(3), np.zeros(3), False
    for _ in range(_MAX_STEPS):
        node = skip_copies(graph, source)
        if node is not None and node.op == "Placeholder":
            return scale, shift, node, has_any
        if node is not None and node.op in _GEOMETRY:
            source = node.inputs[0]
        elif node is not None and (step := _affine(graph, node)) is not None:
            source, factor, offset = step
            scale, shift, has_any = scale * factor, shift + scale * offset, True
        else:
            break
    return scale, shift, None, has_any


def _affine(graph: FileGraph, node: Node) -> tuple[str, _Floats, _Floats] | None:
    """What an operation multiplies by and adds, for each channel, and what to; None for any other."""
    parts = [constant(graph, name) for name in node.inputs]
    known = [value for value in parts if value is not None]
    if node.op not in _ARITHMETIC or len(parts) != 2 or len(known) != 1 or known[0].size not in (1, 3):
        return None
    value, is_second = np.broadcast_to(np.float64(known[0]).reshape(-1), 3), parts[1] is not None
    source, one, zero = node.inputs[0 if is_second else 1], np.ones(3), np.zeros(3)
    if not is_second and node.op == "RealDiv":
        return None
    if node.op in ("Mul", "RealDiv"):
        return source, value if node.op == "Mul" else 1 / value, zero
    if node.op == "Sub":
        return (source, one, -value) if is_second else (source, -one, value)
    return source, one, value


def _input_range(node: Node) -> tuple[float, float] | None:
    """What a quantized input's first and last number mean, as it was before a calibration measured it."""
    if "range" not in node.attributes:
        return None
    low, high = (float(limit) for limit in node.attributes["range"])
    for usual in _USUAL_RANGES:
        tolerance = _CALIBRATION * (usual[1] - usual[0])
        if abs(low - usual[0]) <= tolerance and abs(high - usual[1]) <= tolerance:
            return usual
    return low, high


def _triple(values: _Floats) -> _Triple:
    red, green, blue = (float(value) + 0.0 for value in values)  # -0.0 becomes 0.0
    return red, green, blue
