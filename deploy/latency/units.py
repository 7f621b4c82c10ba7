"""A model cut into units whose time depends on few widths: its blocks, its last convolution, the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketvision.backbones.architecture import feature_taps
from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.width_groups import WidthPlace, adaptable_body, width_groups
from pocketvision.backbones.widths import WIDTH_STEP, Widths
from pocketvision.core.layers import ConvNormAct, SameConv2d
from pocketvision.core.protocols import body_of
from pocketvision.core.structures import Size
from pocketvision.deploy.runtimes.graphs import fold_norms, make_graph
from pocketvision.models import JointModel, Segmenter, SingleModel, VisionModel

Build = Callable[[Widths], VisionModel]
"""The model with these widths; its weights do not matter."""

EXPANSIONS, _OUTPUTS = (0.25, 0.5, 0.75, 1.0), (0.5, 1.0)
"""Shares of its width at which an expansion or an output is measured."""


class Subnet(NamedTuple):
    """What is timed: a module for inference, and the shapes of its inputs; images are uint8."""

    module: nn.Module
    shapes: tuple[tuple[int, ...], ...]
    takes_images: bool = False


class Unit(NamedTuple):
    """A part of the network: ``axes`` are the widths at which it is measured, one for each of ``places``.

    ``make`` builds it with widths at its places.
    """

    name: str
    places: tuple[WidthPlace, ...]
    axes: tuple[tuple[int, ...], ...]
    make: Callable[[Sequence[int]], Subnet]

    def points(self) -> list[tuple[int, ...]]:
        """Where it is measured."""
        return list(product(*self.axes))

    def key(self, point: Sequence[int]) -> str:
        """What a table calls a point."""
        return " ".join([self.name, "-".join(map(str, point))]).strip()


def cut(
    model: SingleModel, widths: Widths, build: Build, expansions: Sequence[float] = EXPANSIONS
) -> list[Unit]:
    """The units of ``model``, which has these widths now; ``build`` makes it with others.

    ``expansions`` are the shares of an expansion at which it is measured.
    """
    body = adaptable_body(model.backbone)
    free = {place for group in width_groups(body) for place in group.places}
    sizes = _map_sizes(body, model.resize.image_size)
    channels = body.architecture.stem_channels
    units = []
    for index, block in enumerate(body.blocks):
        assert isinstance(block, InvertedResidual)
        places = [place for place in ((index - 1, 1), (index, 0), (index, 1)) if place in free]
        name = _block_name(block, channels, sizes[index], places, widths[index], index)
        make = partial(_make_block, body, index, sizes[index], widths, places)
        units.append(_unit(name, places, widths, make, expansions))
        channels = widths[index][1]
    if body.last is not None:
        places = [place for place in ((len(body.blocks) - 1, 1),) if place in free]
        assert isinstance(body.last, ConvNormAct)
        name = f"last {_size(sizes[-1])} {_activation(body.last)} to{body.architecture.last_channels}"
        units.append(_unit(name, places, widths, partial(_make_last, body, sizes[-1], widths), expansions))
    return [*units, _rest(model, widths, build, free)]


def whole_net(build: Build, widths: Widths) -> tuple[str, Subnet]:
    """A whole network and what a table calls it."""
    model = build(widths)
    shape = (1, model.resize.pixels.channels, *model.resize.image_size)
    return f"net {_fingerprint(model)}", Subnet(make_graph(model), (shape,), takes_images=True)


def _unit(
    name: str,
    places: Sequence[WidthPlace],
    widths: Widths,
    make: Callable[[Sequence[int]], Subnet],
    expansions: Sequence[float],
) -> Unit:
    axes = []
    for block, part in places:
        shares = _OUTPUTS if part else expansions
        width = widths[block][part]
        axes.append(
            tuple(
                sorted(
                    {max(WIDTH_STEP, round(width * share / WIDTH_STEP) * WIDTH_STEP) for share in shares}
                    | {width}
                )
            )
        )
    return Unit(name, tuple(places), tuple(axes), make)


def _map_sizes(body: MobileNet, image_size: Size) -> list[Size]:
    """Height and width of each block's input, and of the last one's output."""
    sizes = [(-(-image_size[0] // 2), -(-image_size[1] // 2))]
    for block in body.blocks:
        assert isinstance(block, InvertedResidual)
        stride = 1 if block.until == "expand" else block.depthwise.conv.stride[0]
        height, width = sizes[-1]
        sizes.append((-(-height // stride), -(-width // stride)))
    return sizes


def _block_name(
    block: InvertedResidual,
    channels: int,
    size: Size,
    places: Sequence[WidthPlace],
    own: tuple[int, int],
    index: int,
) -> str:
    """Everything that its time depends on, but for the widths at ``places``."""
    first = block.expand if isinstance(block.expand, ConvNormAct) else block.depthwise
    assert isinstance(first, ConvNormAct)
    words = ["block", _size(size), _activation(first), block.until]
    if block.until != "expand":
        conv = block.depthwise.conv
        words.append(f"k{conv.kernel_size[0]} s{conv.stride[0]} d{conv.dilation[0]}")
        words += ["same"] if isinstance(conv, SameConv2d) else []
    if block.until == "output":
        words += ["se"] if not isinstance(block.squeeze, nn.Identity) else []
        words += ["residual"] if block.has_residual else []
    fixed = (((index - 1, 1), "in", channels), ((index, 0), "expanded", own[0]), ((index, 1), "out", own[1]))
    return " ".join([*words, *(f"{word}{width}" for place, word, width in fixed if place not in places)])


def _size(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _activation(layer: ConvNormAct) -> str:
    return type(layer.activation).__name__.lower() if hasattr(layer, "activation") else "linear"


def _make_block(
    body: MobileNet,
    index: int,
    size: Size,
    widths: Widths,
    places: Sequence[WidthPlace],
    point: Sequence[int],
) -> Subnet:
    at = dict(zip(places, point, strict=True))
    old = body.blocks[index]
    assert isinstance(old, InvertedResidual)
    before = widths[index - 1][1] if index else body.architecture.stem_channels
    channels = at.get((index - 1, 1), before)
    expanded, out = at.get((index, 0), widths[index][0]), at.get((index, 1), widths[index][1])
    conv = old.depthwise.conv if old.until != "expand" else nn.Conv2d(1, 1, 1)
    block = InvertedResidual(
        partial(ConvNormAct, padding="same" if isinstance(conv, SameConv2d) else "torch"),
        channels,
        body.architecture.blocks[index]._replace(expanded=expanded, out=out),
        stride=conv.stride[0],
        dilation=conv.dilation[0],
        has_residual=old.has_residual,
        until=old.until,
    )
    return Subnet(_for_inference(block), ((1, channels, *size),))


def _make_last(body: MobileNet, size: Size, widths: Widths, point: Sequence[int]) -> Subnet:
    (channels,) = point or (widths[-1][1],)
    conv = deepcopy(body.last)
    assert isinstance(conv, ConvNormAct)
    conv.conv = nn.Conv2d(channels, conv.conv.out_channels, 1, bias=False)
    return Subnet(_for_inference(conv), ((1, channels, *size),))


def _for_inference(module: nn.Module) -> nn.Module:
    module.eval()
    fold_norms(module)
    return module.requires_grad_(False)


def _rest(model: SingleModel, widths: Widths, build: Build, free: set[WidthPlace]) -> Unit:
    """Everything behind the backbone: it depends on the widths of the features that it reads."""
    body = adaptable_body(model.backbone)
    taps = feature_taps(body.architecture)
    read = [taps[name] for name in body.feature_info]
    places = list(dict.fromkeys((tap.block, 1 if tap.part == "output" else 0) for tap in read))
    places = [place for place in places if place in free]
    inner = {f"backbone.{name}" for name, _ in body.named_parameters()}
    mark = _fingerprint(model, without=inner)
    axes = tuple(tuple(sorted({_half(widths[b][p]), widths[b][p]})) for b, p in places)
    return Unit(f"rest {mark}", tuple(places), axes, partial(_make_rest, build, widths, places))


def _half(width: int) -> int:
    return max(WIDTH_STEP, round(width / 2 / WIDTH_STEP) * WIDTH_STEP)


def _make_rest(build: Build, widths: Widths, places: Sequence[WidthPlace], point: Sequence[int]) -> Subnet:
    changed = [list(pair) for pair in widths]
    for (block, part), width in zip(places, point, strict=True):
        changed[block][part] = width
    model = build([(expanded, out) for expanded, out in changed])
    assert not isinstance(model, JointModel)
    body = adaptable_body(model.backbone)
    height, width = model.resize.image_size
    with torch.no_grad():
        features = body.eval()(torch.zeros(1, model.resize.pixels.channels, height, width))
    graph = _Rest(model, list(features))
    return Subnet(_for_inference(graph), tuple(tuple(x.shape) for x in features.values()))


class _Rest(nn.Module):
    """Features of a model's innermost backbone -> its raw outputs."""

    def __init__(self, model: SingleModel, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.backbone, self.head = model.backbone, model.head
        self.enlarge = model.enlarge if isinstance(model, Segmenter) else None
        self.image_size = model.resize.image_size
        owner: Any = self
        body = body_of(model.backbone)
        while owner.backbone is not body:
            owner = owner.backbone
        owner.backbone = nn.Identity()

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        given: Any = dict(zip(self.names, features, strict=True))
        output = self.head(self.backbone(given))
        if isinstance(output, tuple):
            return output
        return (output if self.enlarge is None else self.enlarge(output, self.image_size),)


def _fingerprint(model: VisionModel, without: Collection[str] = ()) -> str:
    """Of everything that decides the time of a network: its layers, their shapes and the image size."""
    layers = [(name, list(value.shape)) for name, value in model.named_parameters() if name not in without]
    words = [type(module).__name__ for module in model.modules()]
    text = json.dumps([layers, words, model.resize.image_size])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
