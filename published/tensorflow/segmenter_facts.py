"""Which segmentation head a file holds: DeepLabv3's with or without atrous branches, or LR-ASPP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.graph import FileGraph, Node, skip_copies
from pocketvision.published.tensorflow.known_backbones import FoundBackbone
from pocketvision.published.tensorflow.last_resizes import RESIZES, LastResize, last_resizes, sampling_of
from pocketvision.published.tensorflow.trunk import LayerGraph

DEFAULT_SIZE = (300, 300)


def segmenter_facts(
    graph: FileGraph, layers: LayerGraph, backbone: FoundBackbone, image_size: Size | None
) -> tuple[dict[str, Any], int]:
    """Arguments of ``imported_segmentation``'s model, and the number of classes.

    Where the graph does not state the ``image_size``, DeepLab's pooling of a whole map does.

    Raises:
        InputError: the head is another; names the layer.
    """
    outputs = layers.outputs
    if any(layers.links[index].is_pooled for index in outputs):
        raise InputError(f"{layers.layers[outputs[0]].name} is behind a pooling, as of no segmenter")
    counts = {len(layers.layers[index].kernel) for index in outputs}
    if len(counts) != 1:
        names = ", ".join(layers.layers[index].name for index in outputs[:3])
        raise InputError(f"its last layers {names} have different numbers of classes")
    if len(outputs) == 1:
        facts = _deeplab(graph, layers, backbone, outputs[0], image_size)
    else:
        facts = _lraspp(graph, layers, backbone, image_size or DEFAULT_SIZE)
    facts = {"backbone": backbone.name, "output_stride": backbone.output_stride, **facts}
    rule = {} if backbone.dilation_rule == "tensorflow" else {"dilation_rule": backbone.dilation_rule}
    ends = [layers.layers[index].node for index in outputs]
    facts |= _enlarging(last_resizes(graph, ends), facts, image_size or facts.get("image_size"))
    return {**backbone.options, **rule, **facts}, counts.pop()


def _enlarging(
    resizes: Sequence[LastResize], facts: Mapping[str, Any], image_size: Size | None
) -> dict[str, Any]:
    """How the graph enlarges the logits to its image, where that is not what everybody does with ours."""
    if image_size is None and resizes:
        image_size = resizes[-1].size
    size = _logits_size(facts, image_size)
    steps = []
    for resize in resizes:
        if resize.size is None or resize.size != size:  # else every way of sampling gives what comes in
            steps.append(resize)
        size = resize.size
    if not steps:
        return {}
    samplings = {resize.sampling for resize in steps}
    if len(samplings) > 1:
        raise InputError(f"{steps[-1].node} resizes its logits in another way than {steps[0].node} before it")
    last = steps.pop() if steps[-1].size in (None, image_size) else None
    between = tuple(resize.size for resize in steps if resize.size is not None)
    if samplings == {"half_pixel"} and last is not None and not between:
        return {}
    return {"last_resize": samplings.pop(), **({"sizes_between": between} if between else {})}


def _logits_size(facts: Mapping[str, Any], image_size: Size | None) -> Size | None:
    """The size of what a head with these ``facts`` gives of images of a size."""
    if image_size is None:
        return None
    stride = facts["output_stride"]
    if facts["head"] == "lraspp":
        stride = min(stride, 2 ** int(facts["low"][-1][1]))
    return -(-image_size[0] // stride), -(-image_size[1] // stride)


def _deeplab(
    graph: FileGraph, layers: LayerGraph, backbone: FoundBackbone, logits: int, image_size: Size | None
) -> dict[str, Any]:
    (mix, *others) = layers.links[logits].inputs
    parts = layers.links[mix].parts or (layers.links[mix].inputs,)  # one branch needs no concatenation
    if others or not layers.is_pointwise(mix) or any(len(part) != 1 for part in parts):
        raise InputError(f"{layers.layers[logits].name} follows no mixed branches, as in DeepLabv3")
    branches = [next(iter(part)) for part in parts]
    dilated = {index: layer for index in branches if (layer := _depthwise_before(layers, index)) is not None}
    pooled = [index for index in branches if layers.links[index].is_pooled]
    points = [index for index in branches if layers.is_pointwise(index) and index not in dilated]
    atrous = [dilated.get(index, index) for index in branches if index not in (*pooled, *points)]
    _check_branches(layers, [*pooled, *points, *atrous])
    if len(points) != 1 or len(pooled) > 1 or len(dilated) not in (0, len(atrous)):
        raise InputError(
            f"{layers.layers[branches[0]].name} is no branch of ours: DeepLabv3 has one 1x1, at most one "
            "pooled and either full or separable 3x3 convolutions"
        )
    channels = {len(layers.layers[index].kernel) for index in (*branches, mix)}
    if len(channels) != 1:
        raise InputError(f"{layers.layers[mix].name} mixes branches of different widths")
    facts: dict[str, Any] = {
        "head": "deeplabv3",
        "rates": tuple(sorted(layers.links[index].dilation for index in atrous)),
        "head_channels": channels.pop(),
        "high": _feature(layers, backbone, points[0]),
    }
    facts |= {"separable_atrous": True} if dilated else {}
    facts |= {} if pooled else {"image_pooling": False}
    window = _window(graph, layers.layers[pooled[0]].node) if pooled and image_size is None else None
    if window is not None:
        height, width = ((side - 1) * backbone.output_stride + 1 for side in window[0])
        facts["image_size"] = (height, width)
    return facts


def _depthwise_before(layers: LayerGraph, index: int) -> int | None:
    """The depthwise layer that only this 1x1 convolution reads."""
    before, *others = layers.links[index].inputs or (index,)
    is_pair = layers.is_pointwise(index) and layers.layers[before].is_depthwise and not others
    return before if is_pair and layers.reading(before) == [index] else None


def _check_branches(layers: LayerGraph, readers: list[int]) -> None:
    """Refuse branches of which one reads another map, or has another kernel, than DeepLabv3's."""
    source = layers.links[readers[-1]].inputs
    for index in readers:
        is_known = layers.layers[index].kernel.shape[2] in (1, 3)
        if layers.links[index].inputs != source or not is_known:
            raise InputError(f"{layers.layers[index].name} is no branch of ours: it reads another map")


def _feature(layers: LayerGraph, backbone: FoundBackbone, reader: int) -> str:
    """The name of what a layer reads of the backbone."""
    name = backbone.features.get(layers.links[reader].inputs)
    if name is None:
        raise InputError(f"{layers.layers[reader].name} reads a map that no head of ours does")
    return name


def _lraspp(
    graph: FileGraph, layers: LayerGraph, backbone: FoundBackbone, image_size: Size
) -> dict[str, Any]:
    """The paper's form: gated logits of the last map, and those of finer ones."""
    low = [index for index in layers.outputs if layers.links[index].inputs in backbone.features]
    high = [index for index in layers.outputs if index not in low]
    inputs = sorted(layers.links[high[0]].inputs) if len(high) == 1 else []
    gates = [index for index in inputs if layers.links[index].is_pooled]
    if len(gates) != 1 or len(inputs) != 2:
        name = layers.layers[high[0] if high else layers.outputs[0]].name
        raise InputError(f"{name} is in no head of ours: LR-ASPP has one gated map beside finer ones")
    (reduce,) = (index for index in inputs if index not in gates)
    order = list(backbone.features)
    low.sort(key=lambda index: order.index(layers.links[index].inputs), reverse=True)
    facts: dict[str, Any] = {
        "head": "lraspp",
        "head_channels": len(layers.layers[reduce].kernel),
        "high": _feature(layers, backbone, reduce),
        "low": tuple(_feature(layers, backbone, index) for index in low),
    }
    stride = backbone.output_stride
    size = (-(-image_size[0] // stride), -(-image_size[1] // stride))
    facts |= _pooling(graph, layers.layers[gates[0]].node, size)
    before = skip_copies(graph, graph[layers.layers[high[0]].node].inputs[0])
    if before is not None and before.op in RESIZES and sampling_of(before) != "half_pixel":
        facts["sampling"] = sampling_of(before)
    return facts


def _pooling(graph: FileGraph, node: str, size: Size) -> dict[str, Any]:
    """Windows of a gate, where they are smaller than its map."""
    found = _window(graph, node)
    if found is None or (found[0][0] >= size[0] and found[0][1] >= size[1]):
        return {}
    window, stride = found
    return {"pool_size": max(window), "pool_stride": stride}


def _window(graph: FileGraph, node: str) -> tuple[Size, Size] | None:
    """Window and stride of the pooling before a layer, None where it averages whatever there is."""
    pool: Node | None = skip_copies(graph, graph[node].inputs[0])
    if pool is None or pool.op != "AvgPool":
        return None
    window, stride = pool.attributes["ksize"][1:3], pool.attributes["strides"][1:3]
    return (int(window[0]), int(window[1])), (int(stride[0]), int(stride[1]))
