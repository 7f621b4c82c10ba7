"""Which of our models a TensorFlow graph is, by its structure alone: names of layers only settle ties."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.detector_facts import detector_facts
from pocketvision.published.tensorflow.graph import FileGraph
from pocketvision.published.tensorflow.known_backbones import FoundBackbone, find_backbone
from pocketvision.published.tensorflow.layers import Layer
from pocketvision.published.tensorflow.pairing import is_classifier
from pocketvision.published.tensorflow.run_graph import unknown_operators
from pocketvision.published.tensorflow.segmenter_facts import DEFAULT_SIZE, segmenter_facts
from pocketvision.published.tensorflow.trunk import LayerGraph, find_trunk

_PERSON = {
    "backbone": "v2", "taps": ("c4_expand", "last"), "extra_channels": (512, 256, 256, 128),
    "separable_extra": True, "head": "separable", "score_function": "sigmoid", "iou_threshold": 0.6,
}  # fmt: skip
"""What ``ssdlite_v2_person`` is."""
HIDDEN_CHANNELS = {"v3_large": 1280, "v3_small": 1024}
"""Of the layer between pooling and classes."""
_FEW_OUTPUTS = 3
"""Last layers that a segmenter may have; a detector has a pair for each of several maps."""


class ModelFacts(NamedTuple):
    """The shipped ``config`` whose model a file holds, ``arguments`` of its model function, and
    ``num_outputs``: of classes for each image, pixel or anchor, with a background where there is one."""

    config: str
    arguments: dict[str, Any]
    num_outputs: int


def find_model(graph: FileGraph, layers: Sequence[Layer], image_size: Size | None, path: Path) -> ModelFacts:
    """The model of a graph's ``layers``.

    Raises:
        InputError: it is none of ours; names the layer or operator that does not fit.
    """
    try:
        linked = LayerGraph(layers)
        backbone = find_backbone(linked, find_trunk(linked))
        if is_classifier(layers):
            return _classifier(linked, backbone)
        if len(linked.outputs) <= _FEW_OUTPUTS:
            segmenter, num_classes = segmenter_facts(graph, linked, backbone, image_size)
            return ModelFacts("imported_segmentation", segmenter, num_classes)
        if backbone.output_stride != 32:
            raise InputError(f"it is a detector with output stride {backbone.output_stride}, as none of ours")
        detector, num_outputs = detector_facts(graph, linked, backbone, image_size or DEFAULT_SIZE)
        return detector_model(detector, num_outputs)
    except InputError as error:
        stems = [layer.node for layer in layers if layer.links and not layer.links.inputs]
        foreign = unknown_operators(graph, [layer.node for layer in layers if layer.node not in stems], stems)
        reason = str(error).removesuffix(".")
        also = f"; no MobileNet has its operator {', '.join(foreign)}" if foreign else ""
        raise InputError(f"{path} is no model that is known: {reason}{also}.") from error


def _classifier(layers: LayerGraph, backbone: FoundBackbone) -> ModelFacts:
    (output,) = layers.outputs
    before, wanted = layers.links[output].inputs, HIDDEN_CHANNELS.get(backbone.name)
    hidden = None
    if before != backbone.coarsest:
        (index,) = before
        is_behind = layers.links[index].inputs == backbone.coarsest
        hidden = len(layers.layers[index].kernel) if is_behind else -1
    if hidden != wanted:
        there = f"a layer of {wanted} channels" if wanted else "nothing"
        name = layers.layers[output].name
        raise InputError(f"{name} stands elsewhere than in {backbone.name}, which has {there} before it")
    arguments = dict(backbone.options)
    return ModelFacts(f"classifier_{backbone.name}_imagenet", arguments, len(layers.layers[output].kernel))


def detector_model(arguments: dict[str, Any], num_outputs: int) -> ModelFacts:
    """The config of a detector with these arguments: the person detector's own, or the general one."""
    ways = {name: value for name, value in arguments.items() if name not in ("width_mult", "max_detections")}
    ways.pop("variances", None) if ways.get("variances") == (0.1, 0.2) else None
    if num_outputs == 2 and {**_PERSON, **ways} == _PERSON:
        names = ("width_mult", "max_detections")
        kept: dict[str, Any] = {name: arguments[name] for name in names if name in arguments}
        return ModelFacts("ssdlite_v2_person", kept, num_outputs)
    return ModelFacts("imported_detection", arguments, num_outputs)
