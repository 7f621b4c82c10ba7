"""Which MobileNet a file's trunk is: version, width, variant, output stride, and what its maps are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pocketvision.backbones import mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.architecture import (
    Architecture,
    DilationRule,
    Tap,
    feature_taps,
    place_blocks,
)
from pocketvision.backbones.mobilenet_edgetpu import scaled_edgetpu
from pocketvision.backbones.mobilenet_v1 import scaled_v1
from pocketvision.backbones.mobilenet_v2 import scaled_v2
from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.trunk import FoundBlock, LayerGraph, LayerSet, Trunk

WIDTHS = (1.0, 0.75, 0.5, 0.25, 0.35, 1.25, 1.3, 1.4)
"""Width multipliers that were published."""
_OTHER_WIDTHS = tuple(step / 100 for step in range(10, 201))
BlockFacts = tuple[int, int, int, bool, bool]
"""Of a block: size and number of its depthwise kernels, channels of its output, whether it is squeezed, and
whether these kernels are its expansion's instead; of a projection alone 1 and the channels of its input."""
_TAILS: tuple[Literal["detection", "segmentation"] | None, ...] = (None, "detection", "segmentation")


class FoundBackbone(NamedTuple):
    """A backbone of ours: its short ``name``, arguments of its function (``options``), and ``features``: the
    names of what its layers, by what a reader of them reads, compute. ``coarsest`` is what follows read."""

    name: str
    options: Mapping[str, Any]
    output_stride: int
    dilation_rule: DilationRule
    features: Mapping[LayerSet, str]
    coarsest: LayerSet


class KnownTable(NamedTuple):
    """A backbone of ours at one width: short name, arguments and table."""

    name: str
    options: dict[str, Any]
    architecture: Architecture


def find_backbone(graph: LayerGraph, trunk: Trunk) -> FoundBackbone:
    """The MobileNet whose table the trunk begins with; what follows it belongs to others.

    Raises:
        InputError: there is none; names the first layer that does not fit the most similar one.
    """
    facts = [_facts(graph, block) for block in trunk.blocks]
    fitting, best = match_table(len(graph.layers[trunk.stem].kernel), _is_first(trunk), facts)
    if fitting is None:
        raise InputError(_misfit(graph, trunk, *best))
    stride, rule = _placed(graph, trunk, fitting.architecture)
    return _named(graph, trunk, fitting, stride, rule)


def match_table(
    stem: int, is_first: bool, facts: Sequence[BlockFacts]
) -> tuple[KnownTable | None, tuple[int, str]]:
    """The table that blocks with these ``facts``, behind a stem of so many channels, begin with; and in how
    many blocks the most similar one is alike (-1: no stem), with its name.

    ``is_first`` says that the blocks have no expansion.
    """
    best = (-1, "")
    for candidate in _candidates(stem, is_first):
        own = _table_facts(candidate.architecture)
        num_alike = next(
            (i for i, pair in enumerate(zip(own, facts, strict=False)) if pair[0] != pair[1]), -1
        )
        if num_alike < 0 and len(facts) >= len(own):
            return candidate, best
        best = max(best, (len(facts) if num_alike < 0 else num_alike, candidate.name))
    return None, best


def _is_first(trunk: Trunk) -> bool:
    """Whether it is the first version, whose blocks have no expansion."""
    plain = [block.expand is None and not block.is_fused for block in trunk.blocks[:2]]
    return len(plain) > 1 and all(plain)


def _candidates(stem: int, is_first: bool) -> Iterator[KnownTable]:
    """Tables with a stem of this size, published widths and plain forms first."""
    for width in (*WIDTHS, *_OTHER_WIDTHS):
        if is_first:
            table = scaled_v1(width)
            if table.stem_channels == stem:
                yield KnownTable("v1", {"width_mult": width}, table)
            continue
        for reduced in (False, True):
            table = scaled_v2(width, reduced, scale_last=False)
            if table.stem_channels == stem:
                yield KnownTable("v2", _plain({"width_mult": width, "reduced_tail": reduced}), table)
        table = scaled_edgetpu(width)
        if table.stem_channels == stem:
            yield KnownTable("edgetpu", {"width_mult": width}, table)
        for model in (mobilenet_v3_large, mobilenet_v3_small):
            if model.scaled(width, None, "paper", False).stem_channels != stem:
                continue
            for minimalistic in (False, True):
                for tail in _TAILS:
                    options = {"width_mult": width, "minimalistic": minimalistic, "reduced_tail": tail}
                    table = model.scaled(width, tail, "paper", minimalistic)
                    yield KnownTable(model.name.removeprefix("mobilenet_"), _plain(options), table)


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Without what is nothing special."""
    return {name: value for name, value in options.items() if value}


def _facts(graph: LayerGraph, block: FoundBlock) -> BlockFacts:
    kernel, out = graph.layers[block.depthwise].kernel, len(graph.layers[block.project].kernel)
    expanded = kernel.shape[1] if block.depthwise == block.project else len(kernel)
    return kernel.shape[2], expanded, out, block.squeezed, block.is_fused


def _table_facts(table: Architecture) -> list[BlockFacts]:
    return [(spec.kernel_size, spec.expanded, spec.out, spec.squeeze, spec.fused) for spec in table.blocks]


def _misfit(graph: LayerGraph, trunk: Trunk, num_alike: int, name: str) -> str:
    if num_alike < 0:
        stem = graph.layers[trunk.stem]
        return f"{stem.name} has a kernel {stem.kernel.shape}, which begins no MobileNet"
    if num_alike < len(trunk.blocks):
        layer = graph.layers[trunk.blocks[num_alike].depthwise]
        return (
            f"{layer.name}, with a kernel {layer.kernel.shape}, is in no MobileNet ({name} is most similar)"
        )
    last = trunk.blocks[-1].output if trunk.blocks else frozenset({trunk.stem})
    after = [graph.layers[index].name for index in graph.readers.get(last, [])]
    where = ", ".join(after[:2]) or "its end"
    return f"the blocks are MobileNet's ({name}) up to {where}, which begins none"


def _placed(graph: LayerGraph, trunk: Trunk, table: Architecture) -> tuple[int, DilationRule]:
    """The output stride and rule of dilation that put the blocks where they are."""
    links = [graph.links[block.depthwise] for block in trunk.blocks[: len(table.blocks)]]
    found = [(link.stride, link.dilation) for link in links]
    rules: tuple[DilationRule, ...] = ("tensorflow", "torchvision")
    best = 0
    for rule in rules:
        for stride in (32, 16, 8):
            own = [(place.stride, place.dilation) for place in place_blocks(table.blocks, stride, rule)]
            if own == found:
                return stride, rule
            best = max(
                best, next(i for i, pair in enumerate(zip(own, found, strict=True)) if pair[0] != pair[1])
            )
    layer = graph.layers[trunk.blocks[best].depthwise].name
    raise InputError(
        f"{layer} has stride {found[best][0]} and dilation {found[best][1]}, as no output stride asks for"
    )


def _named(
    graph: LayerGraph, trunk: Trunk, found: KnownTable, stride: int, rule: DilationRule
) -> FoundBackbone:
    blocks = trunk.blocks[: len(found.architecture.blocks)]
    places: dict[Tap, LayerSet] = {Tap(-1, "output"): frozenset({trunk.stem})}
    for index, block in enumerate(blocks):
        if block.expand is not None:
            places[Tap(index, "expand")] = frozenset({block.expand})
        places[Tap(index, "depthwise")] = frozenset({block.depthwise})
        places[Tap(index, "output")] = block.output
    coarsest, options = blocks[-1].output, dict(found.options)
    if (last := _last(graph, coarsest, found)) is not None:
        position, options = last
        coarsest = places[Tap(len(blocks), "output")] = frozenset({position})
    taps = feature_taps(found.architecture)
    features = {places[tap]: name for name, tap in taps.items() if tap in places}
    return FoundBackbone(found.name, options, stride, rule, features, coarsest)


def _last(graph: LayerGraph, coarsest: LayerSet, found: KnownTable) -> tuple[int, dict[str, Any]] | None:
    """The 1x1 convolution behind the last block, where nothing else reads that, and the options with it."""
    readers = graph.readers.get(coarsest, [])
    if len(readers) != 1 or not graph.is_pointwise(readers[0]) or readers[0] not in graph.used:
        return None
    options = with_last(found, len(graph.layers[readers[0]].kernel))
    return None if options is None else (readers[0], options)


def with_last(found: KnownTable, channels: int) -> dict[str, Any] | None:
    """The arguments with which a 1x1 convolution of so many channels stands behind the last block."""
    if channels == found.architecture.last_channels:
        return found.options
    if found.name == "v2":
        reduced = bool(found.options.get("reduced_tail"))
        table = scaled_v2(found.options["width_mult"], reduced, scale_last=True)
        if table.last_channels == channels:
            return {**found.options, "scale_last": True}
    return None
