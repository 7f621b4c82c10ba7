"""The parity report of an import: what the converted model computes beside what its file says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.backbones.pretrained import LIBRARY_STEMS
from pocketvision.core.protocols import HasImagenetFile, body_of
from pocketvision.core.weights import StateDict, read_state_dict
from pocketvision.heads import DeepLabV3Head
from pocketvision.models import Classifier, Detector, Segmenter, VisionModel
from pocketvision.published.load import WHOLE_STEMS
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import FileGraph, skip_copies
from pocketvision.published.tensorflow.run_graph import GraphRun, NotRunnableError
from pocketvision.published.tensorflow.tflite import read_tflite

_AROUND = ("Pad", "PadV2", "SpaceToBatchND")
"""What belongs to a layer, though it stands before it."""
_MEASURE = "of its RMS, for a random image"


@torch.no_grad()
def parity_report(model: VisionModel, path: Path, nodes: Mapping[str, str]) -> str:
    """One sentence: how far the model's maps for a random image are from those of the file it was made of.

    A frozen graph or TFLite file is run operation by operation, a file of torchvision's in torchvision's
    own model; others can't be. ``nodes`` are the file's nodes of our layers. The model is not changed.
    """
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
    return "parity: not compared, nothing here can run such a file"


def _image(model: VisionModel) -> Tensor:
    """A smooth image of the model's size, normalized."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 255
    image = F.interpolate(coarse, model.resize.image_size, mode="bicubic").clamp(0, 255)
    normalized: Tensor = model.normalize(image.to(next(model.parameters()).device))
    return normalized


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Root of the mean squared difference, as a share of that of ``theirs``."""
    theirs = theirs.double()
    return float((ours.double() - theirs).norm() / theirs.norm().clamp(min=1e-12))


def _with_graph(model: VisionModel, graph: FileGraph, nodes: Mapping[str, str]) -> str:
    """Compare what reaches each layer: everything that the layers before it do."""
    seen: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[name] = inputs[0].clone()

    hooks = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in model.named_modules()
        if name in nodes
    ]
    image = _image(model)
    try:
        features = model.backbone(image)
        model.head(features)
    finally:
        for hook in hooks:
            hook.remove()
    run, differences, reason = None, [], ""
    for name, node in nodes.items():
        source = _source(graph, node)
        if run is None:
            run = GraphRun(graph, source, image)
            continue
        try:
            theirs = run.value(source)
        except NotRunnableError as error:
            reason = reason or f", the others come after {error}"
            continue
        if theirs.numel() == seen[name].numel():
            differences.append(_difference(seen[name].reshape(theirs.shape), theirs))
    if not differences:
        return f"parity: not compared{reason}"
    if any(node.op == "Clamp" for node in graph.values()):
        reason += ", in real numbers: the file itself rounds to 8 bits"
    return (
        f"parity: what reaches {len(differences)} of {len(nodes) - 1} layers is what the file's graph "
        f"computes, to {max(differences):.1e} {_MEASURE}{reason}"
    )


def _source(graph: FileGraph, name: str) -> str:
    """The node whose value a layer reads, before what pads it."""
    source = graph[name].inputs[0]
    before = skip_copies(graph, source)
    return before.inputs[0] if before is not None and before.op in _AROUND else source


def _with_torchvision(model: VisionModel, state: StateDict) -> str:
    """Compare the outputs with those of torchvision's own model."""
    name = _torchvision_name(model)
    theirs = _build(name, model, state)
    if theirs is None:
        return "parity: not compared, torchvision has no model of this width, head and classes"
    image = _image(model)
    pairs = zip(*_outputs(model, theirs.eval(), image), strict=True)
    largest = max(_difference(ours, expected) for ours, expected in pairs)
    return f"parity: the output is that of torchvision's {name}, to {largest:.1e} {_MEASURE}"


def _torchvision_name(model: VisionModel) -> str:
    body = body_of(model.backbone)
    url = body.imagenet_url if isinstance(body, HasImagenetFile) else None
    backbone = (url or "").rpartition("/")[2].rpartition("-")[0]
    if isinstance(model, Classifier):
        return backbone
    if isinstance(model, Detector):
        return f"ssdlite320_{backbone}"
    return f"{'deeplabv3' if isinstance(model.head, DeepLabV3Head) else 'lraspp'}_{backbone}"


def _build(name: str, model: VisionModel, state: StateDict) -> Any:
    """torchvision's model with the file's weights, None where it has none that takes them."""
    from torchvision import models  # type: ignore[import-untyped]  # late: it is slow

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


def _outputs(model: VisionModel, theirs: Any, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
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
