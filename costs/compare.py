"""Our costs beside the published ones, each counted as its source counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from pocketvision.core.config import parse_overrides
from pocketvision.core.structures import Size
from pocketvision.costs.classifiers import CLASSIFIERS
from pocketvision.costs.detectors import DETECTORS
from pocketvision.costs.measure import NORMS, Cost, measure_cost
from pocketvision.costs.published import (
    V1,
    CountingConvention,
    Published,
    PublishedLayer,
    PublishedMemory,
    PublishedShare,
)
from pocketvision.costs.reference_models import (
    ReferenceModel,
    feature_channels,
    parse_image_size,
    reference_model,
)
from pocketvision.costs.segmenters import SEGMENTERS

PUBLISHED: tuple[Published, ...] = (*CLASSIFIERS, *DETECTORS, *SEGMENTERS)
"""Every row that ``cost --paper`` prints."""
SCALES: dict[CountingConvention, tuple[float, ...]] = {
    "deeplab, 6 forwards": (0.75, 1.0, 1.25),
    "deeplab, 12 forwards": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
}
PARTS: dict[CountingConvention, tuple[str, ...]] = {
    "body": ("backbone.",),
    "head": ("backbone.extra_blocks.", "head."),
}
"""Modules of a reference model that a convention counts."""
UNITS = {"k": 1e3, "M": 1e6, "B": 1e9}
LEVELS = ("c1", "c2", "c3", "c4", "c5")


class CostFigure(NamedTuple):
    """One printed number, None where a row has none, and ours."""

    quantity: str
    printed: str | None
    ours: float
    convention: CountingConvention = "plain"


class CostComparison(NamedTuple):
    """A printed figure beside ours, both in single units; ``deviation`` is ours / published - 1.

    ``has_printed_digits``: ours, rounded or cut off, is what is printed. Only other figures have an erratum.
    """

    source: str
    model: str
    quantity: str
    printed: str
    published: float
    ours: float
    deviation: float
    has_printed_digits: bool
    convention: CountingConvention
    erratum: str


def compare(rows: Iterable[Published]) -> Iterator[CostComparison]:
    """Every figure of ``rows`` beside ours."""
    for row in rows:
        for quantity, printed, ours, convention in _figures(row):
            if printed is None:
                continue
            published = _value(printed)
            is_met = has_printed_digits(printed, ours)
            yield CostComparison(
                source=row.source,
                model=row.model,
                quantity=quantity,
                printed=printed,
                published=published,
                ours=ours,
                deviation=ours / published - 1,
                has_printed_digits=is_met,
                convention=convention,
                erratum="" if is_met else row.erratum,
            )


def _value(printed: str) -> float:
    """``3.4M`` -> 3400000."""
    return float(printed.rstrip("".join(UNITS))) * UNITS.get(printed[-1], 1)


def has_printed_digits(printed: str, value: float) -> bool:
    """Whether ``value``, rounded or with further digits cut off, is what is printed."""
    unit = UNITS.get(printed[-1], 1)
    step = 10.0 ** -len(printed.rstrip("".join(UNITS)).partition(".")[2])
    digits, ours = round(_value(printed) / unit / step), value / unit / step
    return digits in (math.floor(ours + 1e-9), math.floor(ours + 0.5 + 1e-9))


def _figures(row: Published) -> Sequence[CostFigure]:
    if isinstance(row, PublishedLayer):
        cost = _layer(row.kind, row.channels, row.size)
        name = f"{row.kind} 3x3, {row.channels} channels, {row.size}x{row.size}"
        return [
            CostFigure(f"params, {name}", row.params, cost.params),
            CostFigure(f"madds, {name}", row.madds, cost.madds),
        ]
    if isinstance(row, PublishedMemory):
        return [CostFigure(f"kB of {row.feature}", row.memory, _kilobytes(row.model, row.feature))]
    if isinstance(row, PublishedShare):
        madds, params = _shares(row.layers)
        return [
            CostFigure(f"% madds, {row.layers}", row.madds, madds),
            CostFigure(f"% params, {row.layers}", row.params, params),
        ]
    size = _reference(row.model).image_size
    madds = _madds(row.model, row.madds_as, size) if row.madds else 0
    flops = 2 * _madds(row.model, row.madds_as, size) if row.flops else 0
    return [
        CostFigure("params", row.params, _params(row.model, row.params_as), row.params_as),
        CostFigure("madds", row.madds, madds, row.madds_as),
        CostFigure("flops", row.flops, flops, row.madds_as),
    ]


def _layer(kind: str, channels: int, size: int) -> Cost:
    with torch.device("meta"):
        spatial = nn.Conv2d(
            channels, channels, 3, padding=1, groups=channels if kind == "separable" else 1, bias=False
        )
        mixed = nn.Conv2d(channels, channels, 1, bias=False) if kind == "separable" else nn.Identity()
    return measure_cost(nn.Sequential(spatial, mixed), (size, size), in_channels=channels)


def _kilobytes(model: str, feature: str) -> float:
    """Of a feature of a 224x224 image at 16 bits."""
    if feature == "largest":
        return max(_kilobytes(model, level) for level in LEVELS)
    deepest = "c5" if model == V1 else "last"
    channels, stride = feature_channels(model, deepest if feature == "pooled" else feature)
    positions = 1 if feature == "pooled" else (224 // stride) ** 2
    return channels * positions * 2 / 1e3


def _reference(model: str) -> ReferenceModel:
    name, *words = model.split()
    options = parse_overrides(words)
    size = options.pop("image_size", None)
    reference = _built(name, tuple(options.items()))
    return reference if size is None else reference._replace(image_size=parse_image_size(size))


@cache  # weights without values take no memory
def _built(name: str, options: tuple[tuple[str, Any], ...]) -> ReferenceModel:
    return reference_model(name, dict(options))


@cache
def _count(model: str, image_size: Size) -> Cost:
    return measure_cost(_reference(model).model, image_size)


def _params(model: str, convention: CountingConvention) -> float:
    """Parameters as the source counts; the conventions are described beside their type."""
    parts = PARTS.get(convention, ("",))
    counts = {True: 0, False: 0}  # of normalization or not
    for name, module in _reference(model).model.named_modules():
        if name.startswith(parts):
            own = sum(p.numel() for p in module.parameters(recurse=False))
            counts[isinstance(module, NORMS)] += own
    scales = counts[True] / 2  # and as many shifts, means and variances
    counted = {"without norm": 0, "body": 0, "head": 0, "folded": 1, "slim": 3}.get(convention, 2)
    return counts[False] + counted * scales


def _madds(model: str, convention: CountingConvention, image_size: Size) -> float:
    """Multiply-adds as the source counts; the conventions are described beside their type."""
    if convention in SCALES:
        once: CountingConvention = "deeplab, padded" if convention == "deeplab, 12 forwards" else "deeplab"
        scaled = [tuple(int((side - 1) * scale + 1) for side in image_size) for scale in SCALES[convention]]
        return 2 * sum(_madds(model, once, (height, width)) for height, width in scaled)
    reference, cost = _reference(model), _count(model, image_size)
    if convention in PARTS:
        return sum(layer.madds for layer in cost.layers if layer.name.startswith(PARTS[convention]))
    if not convention.startswith(("activations", "deeplab")):
        return cost.madds
    swish = sum(2 * math.prod(op.output_shape) for op in cost.ops if op.op == "hardswish")
    rescaled = sum(
        math.prod(op.output_shape) for op in cost.ops if (op.kind, op.op) == ("SqueezeExcitation", "mul")
    )
    resized = 0 if convention == "activations" else reference.num_classes * math.prod(image_size)
    padded = _padding(reference.model, cost) if convention == "deeplab, padded" else 0
    return cost.madds + swish + rescaled + resized + padded


def _padding(model: nn.Module, cost: Cost) -> float:
    """What the head's dilated convolutions cost more on maps padded to a multiple of their rate."""
    extra = 0.0
    for layer in cost.layers:
        module = model.get_submodule(layer.name)
        if layer.name.startswith("head.") and isinstance(module, nn.Conv2d) and module.dilation[0] > 1:
            assert layer.output_shape is not None
            rate, sides = module.dilation[0], layer.output_shape[-2:]
            ratio = math.prod(math.ceil(side / rate) * rate / side for side in sides)
            extra += layer.madds * (ratio - 1)
    return extra


def _shares(kind: str) -> tuple[float, float]:
    """Percent of V1's multiply-adds and of its parameters without BatchNorm's in one kind of layer."""
    reference = _reference(V1)
    cost = _count(V1, reference.image_size)
    modules = {layer.name: reference.model.get_submodule(layer.name) for layer in cost.layers}
    own = {name: module for name, module in modules.items() if _kind(module) == kind}
    madds = sum(layer.madds for layer in cost.layers if layer.name in own)
    params = sum(p.numel() for module in own.values() for p in module.parameters())
    return 100 * madds / cost.madds, 100 * params / cost.params_without_norm


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.Conv2d):
        return "fully connected"
    if module.groups > 1:
        return "depthwise convolutions"
    return "1x1 convolutions" if module.kernel_size == (1, 1) else "3x3 convolution"
