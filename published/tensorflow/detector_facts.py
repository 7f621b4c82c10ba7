"""Which SSD a file holds: its maps, extra blocks, head and the number of its classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.boxes_facts import anchor_facts, box_facts, score_function
from pocketvision.published.tensorflow.graph import FileGraph
from pocketvision.published.tensorflow.known_backbones import FoundBackbone
from pocketvision.published.tensorflow.names import tensorflow_role
from pocketvision.published.tensorflow.trunk import LayerGraph, LayerSet

_HEADS = {3: "full", 1: "pointwise"}
"""The form of a head without depthwise layers, by the size of its kernels."""


class FoundHead(NamedTuple):
    """The head of an SSD: for each map, by what is read there, the layers that predict classes and boxes."""

    form: str
    predictors: Mapping[LayerSet, tuple[int, int]]


class FoundExtra(NamedTuple):
    """Blocks behind a backbone: their channels, form and what their followers read."""

    channels: tuple[int, ...]
    is_separable: bool
    sources: tuple[LayerSet, ...]


def detector_facts(
    graph: FileGraph, layers: LayerGraph, backbone: FoundBackbone, image_size: Size
) -> tuple[dict[str, Any], int]:
    """Arguments of ``imported_detection``'s model, and the number of outputs for each anchor.

    Raises:
        InputError: something is in no SSD of ours; names the layer or operator.
    """
    head = find_head(graph, layers)
    extra = _extra_blocks(layers, backbone.coarsest)
    names = dict(backbone.features)
    taps = [names[source] for source in names if source in head.predictors]
    known = {source: index for index, source in enumerate([*names, *extra.sources])}
    foreign = next((source for source in head.predictors if source not in known), None)
    if foreign is not None:
        layer = layers.layers[head.predictors[foreign][0]].name
        raise InputError(f"{layer} reads a map that no SSD on {backbone.name} has")
    sources = sorted(head.predictors, key=lambda source: known[source])
    if sources[-len(extra.sources) :] != list(extra.sources) and extra.sources:
        raise InputError(f"its head reads {len(sources)} maps, not all of {len(extra.sources)} extra blocks")
    if not taps or taps[-1] != names[backbone.coarsest]:
        raise InputError(f"its extra blocks follow {names[backbone.coarsest]}, which its head does not read")
    sizes = [len(layers.layers[head.predictors[source][1]].kernel) // 4 for source in sources]
    num_outputs = len(layers.layers[head.predictors[sources[0]][0]].kernel) // sizes[0]
    facts: dict[str, Any] = {
        **backbone.options,
        "backbone": backbone.name,
        "taps": tuple(taps),
        "extra_channels": extra.channels,
        "separable_extra": extra.is_separable,
        "head": head.form,
    }
    classes = [layers.layers[head.predictors[source][0]].node for source in sources]
    if (scores := score_function(graph, classes)) is not None:
        facts["score_function"] = scores
    strides = _strides(layers, taps, backbone, len(extra.channels))
    maps = [(-(-image_size[0] // stride), -(-image_size[1] // stride)) for stride in strides]
    return {**facts, **box_facts(graph), **anchor_facts(graph, sizes, maps)}, num_outputs


def _strides(layers: LayerGraph, taps: list[str], backbone: FoundBackbone, num_extra: int) -> list[int]:
    """Strides of the maps: c4's expansion has that of c4, the last convolution that of c5."""
    levels = [backbone.output_stride if tap == "last" else 1 << int(tap[1]) for tap in taps]
    capped = [min(level, backbone.output_stride) for level in levels]
    return [*capped, *(capped[-1] << number for number in range(1, num_extra + 1))]


def find_head(graph: FileGraph, layers: LayerGraph) -> FoundHead:
    """The pairs of last layers that predict classes and boxes on every map.

    Raises:
        InputError: the last layers are no such pairs, or nothing tells classes from boxes.
    """
    pairs: dict[LayerSet, list[int]] = defaultdict(list)
    forms = set()
    for output in layers.outputs:
        source = layers.links[output].inputs
        (before, *others) = source or {output}
        is_separable = not others and layers.layers[before].is_depthwise and layers.is_pointwise(output)
        if is_separable and len(layers.reading(before)) == 1:
            source = layers.links[before].inputs
            forms.add("separable")
        else:
            forms.add(_HEADS.get(layers.layers[output].kernel.shape[2], "another"))
        pairs[source].append(output)
    odd = next((outputs for outputs in pairs.values() if len(outputs) != 2), None)
    if odd is not None:
        raise InputError(f"{layers.layers[odd[0]].name} is no half of a pair that predicts classes and boxes")
    if len(forms) != 1 or "another" in forms:
        raise InputError(f"its head is of the forms {', '.join(sorted(forms))}, not of one of ours")
    return FoundHead(forms.pop(), _in_order(graph, layers, pairs))


def _in_order(
    graph: FileGraph, layers: LayerGraph, pairs: Mapping[LayerSet, list[int]]
) -> dict[LayerSet, tuple[int, int]]:
    """Classes first: by their names, by the score function behind them, or by the only ratio that fits."""
    swapped = []
    for is_swapped in (False, True):
        ordered = {s: (p[is_swapped], p[not is_swapped]) for s, p in pairs.items()}
        swapped.append(ordered)
    by_name = {source: _by_name(layers, pair) for source, pair in pairs.items()}
    if all(by_name.values()):
        return {source: pair for source, pair in by_name.items() if pair is not None}
    by_score = {source: _by_score(graph, layers, pair) for source, pair in pairs.items()}
    if all(by_score.values()):
        return {source: pair for source, pair in by_score.items() if pair is not None}
    fitting = [ordered for ordered in swapped if _is_consistent(layers, ordered)]
    if len(fitting) != 1:
        raise InputError("nothing tells the layers that predict classes from those that predict boxes")
    return fitting[0]


def _by_name(layers: LayerGraph, pair: list[int]) -> tuple[int, int] | None:
    roles = [tensorflow_role(layers.layers[index].name) for index in pair]
    first = [index for index, role in zip(pair, roles, strict=True) if role.startswith("class")]
    boxes = [index for index, role in zip(pair, roles, strict=True) if role.startswith("box")]
    return (first[0], boxes[0]) if len(first) == len(boxes) == 1 else None


def _by_score(graph: FileGraph, layers: LayerGraph, pair: list[int]) -> tuple[int, int] | None:
    has_score = [score_function(graph, [layers.layers[index].node]) is not None for index in pair]
    if has_score[0] == has_score[1]:
        return None
    return (pair[0], pair[1]) if has_score[0] else (pair[1], pair[0])


def _is_consistent(layers: LayerGraph, ordered: Mapping[LayerSet, tuple[int, int]]) -> bool:
    counts = [tuple(len(layers.layers[index].kernel) for index in pair) for pair in ordered.values()]
    if any(boxes % 4 or classes % (boxes // 4) for classes, boxes in counts):
        return False
    return len({classes * 4 // boxes for classes, boxes in counts}) == 1


def _extra_blocks(layers: LayerGraph, source: LayerSet) -> FoundExtra:
    """Blocks that go on from ``source``: a 1x1 convolution to half of their channels, then stride 2."""
    channels: list[int] = []
    sources: list[LayerSet] = []
    forms = set()
    while (found := _extra_block(layers, source)) is not None:
        reduce, output, is_separable = found
        out, mid = len(layers.layers[output].kernel), layers.layers[reduce]
        if len(mid.kernel) != out // 2:
            raise InputError(
                f"{mid.name} has {len(mid.kernel)} channels, where an extra block of {out} has half of them"
            )
        source = frozenset({output})
        channels.append(out)
        sources.append(source)
        forms.add(is_separable)
    if len(forms) > 1:
        raise InputError("its extra blocks are separable in part")
    return FoundExtra(tuple(channels), True in forms or not forms, tuple(sources))


def _extra_block(layers: LayerGraph, source: LayerSet) -> tuple[int, int, bool] | None:
    """Its first and its last layer, and whether the convolution between is depthwise."""
    for reduce in layers.readers.get(source, []):
        if not layers.is_pointwise(reduce):
            continue
        for index in layers.reading(reduce):
            if layers.links[index].stride != 2 or layers.layers[index].kernel.shape[2] != 3:
                continue
            if not layers.layers[index].is_depthwise:
                return reduce, index, False
            ends = [end for end in layers.reading(index) if layers.is_pointwise(end)]
            if ends:
                return reduce, ends[0], True
    return None
