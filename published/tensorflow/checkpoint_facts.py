"""Which of our models a checkpoint holds, by the names and shapes of its variables: it has no graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.boxes_facts import usual_anchors
from pocketvision.published.tensorflow.checkpoint_layers import is_keras_name
from pocketvision.published.tensorflow.known_backbones import BlockFacts, KnownTable, match_table, with_last
from pocketvision.published.tensorflow.layers import Layer
from pocketvision.published.tensorflow.model_facts import HIDDEN_CHANNELS, ModelFacts, detector_model
from pocketvision.published.tensorflow.names import tensorflow_role

_USUAL_RATES = (6, 12, 18)
_ADVICE = "give --into CONFIG"
_OF_CLASSIFIERS = "SAME padding, images as x / 127.5 - 1"
_OF_DETECTORS = f"sigmoid scores, anchors from 0.2 to 0.95, suppression at 0.6, {_OF_CLASSIFIERS}"
_OF_SEGMENTERS = f"output stride 16, {_OF_CLASSIFIERS}"

_Named = Mapping[str, Layer]


class CheckpointFacts(NamedTuple):
    """The ``model`` of a checkpoint, and a sentence on what of it no variable tells (``assumed``)."""

    model: ModelFacts
    assumed: str


def checkpoint_facts(layers: Sequence[Layer], path: Path) -> CheckpointFacts:
    """What a checkpoint with these layers holds: a classifier, of Keras too, an SSD of the Object Detection
    API or a DeepLabv3.

    Raises:
        InputError: it is none of these, or what it leaves open has no usual form; names the layer.
    """
    try:
        facts, assumed = _of_order(layers) if is_keras_name(layers[0].name) else _of_names(layers)
    except InputError as error:
        raise InputError(f"{path} {error}: {_ADVICE}.") from error
    sentence = (
        f"a checkpoint has no graph; taken from TensorFlow's usual: {assumed}. If it was trained otherwise, "
        "say so (model.NAME=VALUE) or give --into CONFIG"
    )
    return CheckpointFacts(facts, sentence)


def _of_names(layers: Sequence[Layer]) -> tuple[ModelFacts, str]:
    """By slim's names."""
    named = {tensorflow_role(layer.name): layer for layer in layers}
    parts = ("depthwise", "project")
    number = next(
        i for i in range(len(layers) + 1) if not any(f"block {i} {part}" in named for part in parts)
    )
    missing = next((i for i in range(number) if f"block {i} project" not in named), None)
    if "stem" not in named or number == 0 or missing is not None:
        raise InputError(
            f"is no MobileNet that is known (it has {number} blocks of one, first {layers[0].name})"
        )
    facts = [_named_block(named, f"block {i}") for i in range(number)]
    is_first = not any(f"block {i} expand" in named for i in range(number))
    table = _table(len(named["stem"].kernel), is_first, facts)
    if "class 0" in named:
        return _detector(named, table), _OF_DETECTORS
    if "mix" in named and "logits" in named:
        return _deeplab(named, table), _OF_SEGMENTERS
    if "logits" not in named or "high" in named:
        raise InputError("has a head that is none of a classifier, SSD or DeepLabv3")
    ends = [named[role] for role in ("last", "hidden", "logits") if role in named]
    return _classifier(table, ends), _OF_CLASSIFIERS


def _of_order(layers: Sequence[Layer]) -> tuple[ModelFacts, str]:
    """By Keras' order, in which they run: stem, blocks, and what follows the last of these."""
    depthwise = [index for index, layer in enumerate(layers) if layer.is_depthwise]
    facts, rest = [], list(layers[1:])
    for index in depthwise:
        width, after = len(layers[index].kernel), list(layers[index + 1 : index + 4])
        # A gate has two layers without BatchNorm, the second as wide as what it multiplies.
        squeezed = len(after) == 3 and after[0].norm is None and len(after[1].kernel) == width
        if len(after) < 1 + 2 * squeezed:
            raise InputError(f"ends with {layers[index].name}, in the middle of a block")
        facts.append(_block(layers[index], after[2 * squeezed], squeezed=squeezed))
        rest = list(layers[index + 2 + 2 * squeezed :])
    is_first = len(depthwise) > 1 and depthwise[1] - depthwise[0] == 2
    if not depthwise or not rest:
        raise InputError(f"is no MobileNet classifier that is known ({len(depthwise)} depthwise layers)")
    return _classifier(_table(len(layers[0].kernel), is_first, facts), rest), _OF_CLASSIFIERS


def _named_block(named: _Named, block: str) -> BlockFacts:
    project = named[f"{block} project"]
    if (depthwise := named.get(f"{block} depthwise")) is not None:
        return _block(depthwise, project, squeezed=f"{block} squeeze" in named)
    expand = named.get(f"{block} expand")  # of EdgeTPU's, with the block's kernel
    if expand is None:
        return 1, project.kernel.shape[1], len(project.kernel), False, True
    return expand.kernel.shape[2], len(expand.kernel), len(project.kernel), False, True


def _block(depthwise: Layer, project: Layer, *, squeezed: bool) -> BlockFacts:
    return depthwise.kernel.shape[2], len(depthwise.kernel), len(project.kernel), squeezed, False


def _table(stem: int, is_first: bool, facts: Sequence[BlockFacts]) -> KnownTable:
    table, (num_alike, name) = match_table(stem, is_first, facts)
    if table is None or len(table.architecture.blocks) != len(facts):
        similar = f"; {max(num_alike, 0)} blocks are those of {name}" if name else ""
        raise InputError(f"is no MobileNet of a width that is known (a stem of {stem} channels{similar})")
    return table


def _classifier(table: KnownTable, ends: Sequence[Layer]) -> ModelFacts:
    """``ends`` are the layers behind the last block."""
    widths, options = [len(layer.kernel) for layer in ends[:-1]], table.options
    if table.name != "v1":
        known = with_last(table, widths[0]) if widths else None
        expected = [widths[0] if known is not None else table.architecture.last_channels]
        options = known or options
    else:
        expected = []
    expected += [HIDDEN_CHANNELS[table.name]] if table.name in HIDDEN_CHANNELS else []
    if widths != expected:
        raise InputError(
            f"has layers of {', '.join(map(str, widths)) or 'no'} channels between the blocks and "
            f"{ends[-1].name}, where {table.name} has {', '.join(map(str, expected)) or 'none'}"
        )
    return ModelFacts(f"classifier_{table.name}_imagenet", dict(options), len(ends[-1].kernel))


def _detector(named: _Named, table: KnownTable) -> ModelFacts:
    count = next(i for i in range(len(named) + 1) if f"class {i}" not in named)
    boxes = [len(named[f"box {i}"].kernel) // 4 if f"box {i}" in named else 0 for i in range(count)]
    classes = [len(named[f"class {i}"].kernel) for i in range(count)]
    if (
        min(boxes) < 1
        or len({c / b for c, b in zip(classes, boxes, strict=True)}) != 1
        or classes[0] % boxes[0]
    ):
        raise InputError(
            f"has predictors of {classes} class and {boxes} box outputs, which do not go together"
        )
    extra = [named[f"extra {i} expand"] for i in range(count) if f"extra {i} expand" in named]
    taps = ("c4", "c5") if table.name == "v1" else ("c4_expand", "last")
    first = named.get("class 0 depthwise")
    reads = len(first.kernel) if first is not None else named["class 0"].kernel.shape[1]
    blocks = table.architecture.blocks
    at = next((i for i, block in enumerate(blocks) if i and _is_tap(blocks, i, reads, table.name)), None)
    if len(extra) != count - len(taps) or at is None:
        raise InputError(f"has a head of {count} maps whose first has {reads} channels, as in no SSD of ours")
    form = {3: "full", 1: "pointwise"}.get(named["class 0"].kernel.shape[2], "another")
    options = table.options
    if "last" in named:
        options = with_last(table, len(named["last"].kernel)) or options
    arguments: dict[str, Any] = {
        **options,
        "backbone": table.name,
        "taps": taps,
        "extra_channels": tuple(len(layer.kernel) for layer in extra),
        "separable_extra": "extra 0 depthwise" in named,
        "head": "separable" if first is not None else form,
        **usual_anchors(boxes),
    }
    return detector_model(arguments, classes[0] // boxes[0])


def _is_tap(blocks: Sequence[Any], index: int, channels: int, name: str) -> bool:
    """Whether the finer map of an SSD, where the stride becomes 32, has so many channels here."""
    is_last = blocks[index].stride == 2 and not any(block.stride == 2 for block in blocks[index + 1 :])
    return is_last and channels == (blocks[index - 1].out if name == "v1" else blocks[index].expanded)


def _deeplab(named: _Named, table: KnownTable) -> ModelFacts:
    point, mix = named.get("branch 0"), named["mix"]
    atrous = [
        role for role in named if role.startswith("branch ") and role.count(" ") == 1 and role != "branch 0"
    ]
    if point is None or len(atrous) not in (0, len(_USUAL_RATES)):
        raise InputError(
            f"is a DeepLabv3 with {len(atrous)} atrous branches, whose rates no checkpoint tells"
        )
    if point.kernel.shape[1] != table.architecture.blocks[-1].out:
        raise InputError(
            f"has {point.name} on a map of {point.kernel.shape[1]} channels, which is not the last block's"
        )
    arguments: dict[str, Any] = {
        **table.options,
        "backbone": table.name,
        "output_stride": 16,
        "head": "deeplabv3",
        "head_channels": len(mix.kernel),
        "high": "c5",
        "rates": _USUAL_RATES if atrous else (),
    }
    arguments |= {"separable_atrous": True} if "branch 1 depthwise" in named else {}
    arguments |= {} if "pooled" in named else {"image_pooling": False}
    return ModelFacts("imported_segmentation", arguments, len(named["logits"].kernel))
