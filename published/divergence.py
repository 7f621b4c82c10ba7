"""Why an imported model does not compute what its file does: what its first differing layer says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from pocketvision.models import VisionModel
from pocketvision.published.tensorflow.graph import FileGraph, constant, skip_copies
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import Layer
from pocketvision.published.tensorflow.model_layers import ModelLayer, model_layers

_TOLERANCE = 0.02
"""How far the file's scale and shift may be from the model's: quantized inputs round them."""
_MAX_STEPS = 20
_UNKNOWN = "likely by a resize, a pooling or a sum that the model has in another form"


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
    if all(abs(m - mean) <= _TOLERANCE for m in passport["mean"]) and all(
        abs(s / std - 1) <= _TOLERANCE for s in passport["std"]
    ):
        return None
    return (
        f"the preprocessing differs before the first layer: mean {_short(passport['mean'])} and std "
        f"{_short(passport['std'])} in the model, {mean:.3f} and {std:.3f} in the file"
    )


def _short(values: Any) -> str:
    return "/".join(f"{value:.3f}" for value in values)


def file_normalization(graph: FileGraph, source: str) -> tuple[float, float] | None:
    """Mean and std, of pixels in 0..1, that a graph subtracts and divides by before ``source``.

    None where it does neither, or in a form that is not known.
    """
    scale, shift, has_any = 1.0, 0.0, False
    for _ in range(_MAX_STEPS):
        node = skip_copies(graph, source)
        if node is None:
            return None
        if node.op == "Placeholder" and (limits := node.attributes.get("range")) is not None:
            low, high = (float(limit) for limit in limits)
            return (-low / (high - low), 1 / (high - low)) if high > low and not has_any else None
        parts = [(name, constant(graph, name)) for name in node.inputs]
        numbers = [value for _, value in parts if value is not None and value.size == 1]
        if node.op not in ("Sub", "Mul", "RealDiv", "Add", "AddV2") or len(parts) != 2 or len(numbers) != 1:
            break
        number, is_second = float(np.asarray(numbers[0]).reshape(-1)[0]), parts[1][1] is not None
        if not is_second and node.op in ("Sub", "RealDiv"):
            return None
        if node.op in ("Mul", "RealDiv"):
            scale *= number if node.op == "Mul" else 1 / number
        else:  # what was done after it scales it too
            shift += scale * (-number if node.op == "Sub" else number)
        source, has_any = node.inputs[0 if is_second else 1], True
    return (-shift / (255 * scale), 1 / (255 * scale)) if has_any and scale else None
