"""The parity report of an import: what the converted model computes beside what its file says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.backbones.pretrained import LIBRARY_STEMS
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import HasImagenetFile, body_of
from pocketvision.core.weights import StateDict, read_state_dict
from pocketvision.heads import DeepLabV3Head
from pocketvision.models import Classifier, Detector, JointModel, Segmenter, SingleModel, VisionModel
from pocketvision.published.class_surgery import class_layers
from pocketvision.published.convert import published_names
from pocketvision.published.divergence import (
    describe_cause,
    describe_convolutions,
    describe_preprocessing,
)
from pocketvision.published.label_parity import same_labels
from pocketvision.published.load import WHOLE_STEMS
from pocketvision.published.photographs import photograph_like
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import FileGraph, placeholder_size, read_by
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import last_layers
from pocketvision.published.tensorflow.run_graph import GraphRun, NotRunnableError
from pocketvision.published.tensorflow.tflite import read_tflite

_MEASURE = "of its RMS, for an image with the spectrum of photographs"

PARITY_BOUND = 1e-3
"""How far a map of a whole imported model may be from its file's, as a share of that one's RMS."""


class Parity(NamedTuple):
    """How an imported model compares with its file.

    ``sentence`` reports it, ``largest`` is the largest difference as a share of the RMS (None: not
    compared), ``fault`` what is wrong where it is beyond :data:`PARITY_BOUND`.
    """

    sentence: str
    largest: float | None = None
    fault: str | None = None


def refuse_disparity(parity: Parity, path: Path) -> None:
    """Refuse an imported model that does not compute what its file does.

    Raises:
        InputError: names the first layer that differs, and the likely cause.
    """
    if parity.fault is not None:
        raise InputError(f"{path} is not what this model computes: {parity.fault}. Nothing was written.")


@torch.no_grad()
def measure_parity(model: VisionModel, path: Path, nodes: Mapping[str, str]) -> Parity:
    """How far the model's maps for a photograph-like image are from those of the file it was made of.

    A frozen graph or TFLite file is run operation by operation, a quantized one in real numbers, a file
    of torchvision's in torchvision's own model; others can't be. ``nodes`` are the file's nodes of our
    layers. The model is not changed.
    """
    if isinstance(model, JointModel):
        return Parity("parity: not compared, nothing else has these parts on one backbone")
    was_training = model.training
    try:
        if path.suffix in (".pb", ".tflite"):
            graph = read_frozen_graph(path) if path.suffix == ".pb" else read_tflite(path)
            return _with_graph(model.eval(), graph, nodes)
        state = {} if path.suffix in (".index", ".safetensors") else read_state_dict(path)
        stems = {**LIBRARY_STEMS, **WHOLE_STEMS}
        if any(stems.get(name) == "torchvision" for name in state):
            return _with_torchvision(model.eval(), state)
    finally:
        model.train(was_training)
    return Parity("parity: not compared, nothing here can run such a file")


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Root of the mean squared difference, as a share of that of ``theirs``."""
    theirs = theirs.double()
    return float((ours.double() - theirs).norm() / theirs.norm().clamp(min=1e-12))


def _with_graph(model: SingleModel, graph: FileGraph, nodes: Mapping[str, str]) -> Parity:
    """Compare what reaches each layer: everything that the layers before it do."""
    size = placeholder_size(graph) or model.resize.image_size  # a pooling may be for no other
    image = photograph_like(model, size)
    seen = _inputs_of_layers(model, image, nodes)
    run, differences, reason = None, dict[str, float](), ""
    for name, node in nodes.items():
        source = read_by(graph, node)
        if run is None:
            run = GraphRun(graph, source, image)
            continue
        try:
            theirs = run.value(source)
        except NotRunnableError as error:
            reason = reason or f", the others come after {error}"
            continue
        is_alike = theirs.numel() == seen[name].numel()
        ours = seen[name].reshape(theirs.shape) if is_alike else seen[name]
        differences[name] = _difference(ours, theirs) if is_alike else float("inf")
    fault = describe_preprocessing(model, graph, read_by(graph, next(iter(nodes.values()))))
    if not differences:
        return Parity(f"parity: not compared{reason}", fault=fault or f"no layer can be compared{reason}")
    if any(node.op == "Clamp" for node in graph.values()):
        reason += ", in real numbers: the file itself rounds to 8 bits"
    sentence = (
        f"parity: what reaches {len(differences)} of {len(nodes) - 1} layers is what the file's graph "
        f"computes, to {max(differences.values()):.1e} {_MEASURE}{reason}"
    )
    if isinstance(model, Segmenter) and run is not None:
        sentence += same_labels(model, graph, run, image)
    first = next((name for name, value in differences.items() if not value <= PARITY_BOUND), None)
    if first is not None and fault is None:
        fault = describe_cause(model, graph, nodes, first, _share(differences[first]))
    if fault is None and run is not None:
        fault = _fault_of_outputs(model, graph, run, nodes, seen)
    if fault is None and len(differences) < len(nodes) - 1:
        fault = f"{len(nodes) - 1 - len(differences)} of its layers can't be compared{reason}"
    return Parity(sentence, max(differences.values()), fault)


def _fault_of_outputs(
    model: VisionModel, graph: FileGraph, run: GraphRun, nodes: Mapping[str, str], seen: Mapping[str, Tensor]
) -> str | None:
    """The last layer with a channel that is none of the file's there, whatever their order."""
    ends = {layer.node: layer.end for layer in last_layers(find_layers(graph))}
    for name, node in nodes.items():
        if node not in ends:
            continue
        ours = model.get_submodule(name)(seen[name])
        try:
            theirs = run.value(ends[node])
        except NotRunnableError as error:
            return f"what {name} gives can't be compared: it comes after {error}"
        ours, theirs = (x.double().transpose(0, 1).flatten(1) for x in (ours, theirs))
        scale = float(theirs.square().mean().sqrt()) * theirs.shape[1] ** 0.5
        farthest = float(torch.cdist(ours, theirs).min(dim=1).values.max()) / max(scale, 1e-12)
        if not farthest <= PARITY_BOUND:
            return f"{name} is the first layer that differs, by its weights (a channel {_share(farthest)})"
    return None


def _share(difference: float) -> str:
    return "is of another size" if difference == float("inf") else f"differs by {difference:.1e} of its RMS"


def _inputs_of_layers(model: SingleModel, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
    """What reaches each of the model's named layers."""
    seen: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[name] = inputs[0].clone()

    hooks = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in model.named_modules()
        if name in names
    ]
    try:
        model.head(model.backbone(image))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _with_torchvision(model: SingleModel, state: StateDict) -> Parity:
    """Compare the outputs with those of torchvision's own model."""
    name = _torchvision_name(model)
    theirs = _build(name, model, state)
    if theirs is None:
        return Parity("parity: not compared, torchvision has no model of this width, head and classes")
    image = photograph_like(model, model.resize.image_size)
    pairs = zip(*_outputs(model, theirs.eval(), image), strict=True)
    largest = max(_difference(ours, expected) for ours, expected in pairs)
    sentence = f"parity: the output is that of torchvision's {name}, to {largest:.1e} {_MEASURE}"
    fault = _first_of_torchvision(model, theirs, image, largest)
    return Parity(sentence, largest, fault)


def _first_of_torchvision(model: SingleModel, theirs: Any, image: Tensor, largest: float) -> str | None:
    """The first convolution whose output is not that of torchvision's model; a pooled output may hide it."""
    reordered = class_layers(model) if isinstance(model, Detector) else []  # whose background is moved
    names = {
        ours: other
        for ours, other in published_names(model, "torchvision").items()
        if isinstance(model.get_submodule(ours), nn.Conv2d)
        and ours not in reordered
        and not ours.startswith("auxiliary_head")  # which is not run
    }
    outputs: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        module.register_forward_hook(lambda m, i, output, name=ours: outputs[name].append(output.clone()))
        for ours, other in names.items()
        for module in (model.get_submodule(ours), theirs.get_submodule(other))
    ]
    try:
        _outputs(model, theirs, image)
    finally:
        for hook in hooks:
            hook.remove()
    for name, values in outputs.items():
        if len(values) == 2:
            ours, expected = values
            if ours.numel() == expected.numel():  # our 1x1 convolution may be a fully connected layer there
                ours = ours.reshape(expected.shape)
            if ours.shape != expected.shape or not _difference(ours, expected) <= PARITY_BOUND:
                convolutions = (model.get_submodule(name), theirs.get_submodule(names[name]))
                return f"{name} is the first layer that differs, {describe_convolutions(*convolutions)}"
    if largest <= PARITY_BOUND:
        return None
    return f"the output differs by {largest:.1e} of its RMS behind the last layer, likely by its activation"


def _torchvision_name(model: SingleModel) -> str:
    body = body_of(model.backbone)
    url = body.imagenet_url if isinstance(body, HasImagenetFile) else None
    backbone = (url or "").rpartition("/")[2].rpartition("-")[0]
    if isinstance(model, Classifier):
        return backbone
    if isinstance(model, Detector):
        return f"ssdlite320_{backbone}"
    return f"{'deeplabv3' if isinstance(model.head, DeepLabV3Head) else 'lraspp'}_{backbone}"


def _build(name: str, model: SingleModel, state: StateDict) -> Any:
    """torchvision's model with the file's weights, None where it has none that takes them."""
    from torchvision import models  # late: it is slow

    num_classes = len(model.class_names) + isinstance(model, Detector)
    options: dict[str, Any] = {"weights": None, "num_classes": num_classes}
    if not isinstance(model, Classifier):
        options["weights_backbone"] = None
    if name.startswith("deeplabv3"):
        options["aux_loss"] = any(key.startswith("aux_classifier.") for key in state)
    try:
        theirs = models.get_model(name, **options)
        theirs.load_state_dict(state)
    except (ValueError, RuntimeError):
        return None
    return theirs


def _outputs(model: SingleModel, theirs: Any, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    features = model.backbone(image)
    if isinstance(model, Detector):
        logits, deltas = model.head(features)
        expected = theirs.head(list(theirs.backbone(image).values()))
        scores = expected["cls_logits"]
        return [logits, deltas], [scores.roll(-1, dims=-1), expected["bbox_regression"]]
    ours = model.head(features)
    if isinstance(model, Segmenter):
        expected = theirs(image)["out"]
        ours = ours[0] if isinstance(ours, tuple) else ours
        return [F.interpolate(ours, expected.shape[2:], mode="bilinear")], [expected]
    return [ours], [theirs(image)]
