"""State dicts of torchvision's and timm's whole models <-> those of ours, without a leftover key."""

from __future__ import annotations

import torch
from torch import Tensor

from pocketvision.core.protocols import HasPublishedNames, Library
from pocketvision.core.weights import StateDict
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier, Detector, Segmenter, VisionModel
from pocketvision.published.class_surgery import class_layers

# Where torchvision keeps the parts of a model. A segmenter's or detector's backbone has no "features."
# of the classification model in front of its names.
PARTS = {
    Classifier: {"backbone": "", "head": ""},
    Segmenter:  {"backbone": "backbone.", "head": "classifier.", "auxiliary_head": "aux_classifier."},
    Detector:   {"backbone": "backbone.", "head": "head."},
}  # fmt: skip


def from_published(model: VisionModel, state: StateDict, library: Library) -> StateDict:
    """A state dict of the library's model, with our names and shapes and the background moved last.

    Tensors that have no counterpart in ``model`` keep their names, so that loading can report them.

    Raises:
        ValueError: the library has no such model.
    """
    ours = {theirs: ours for ours, theirs in published_names(model, library).items()}
    own = model.state_dict()
    converted = {}
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        new = f"{ours[module]}.{leaf}" if module in ours else name
        if new in own and _is_same_layer(value, own[new]):
            value = value.reshape(own[new].shape)
        converted[new] = value
    for name in _background_tensors(model):
        if name in converted and converted[name].shape == own[name].shape:
            converted[name] = roll_background(converted[name], _num_outputs(model), -1)
    return converted


def to_published(model: VisionModel, library: Library) -> StateDict:
    """The state dict of ``model`` as the library's own model would have it.

    Raises:
        ValueError: the library has no such model.
    """
    names, state = published_names(model, library), dict(model.state_dict())
    has_linear = library == "torchvision" and isinstance(model.head, ClassifierHead)
    for name in _background_tensors(model):
        state[name] = roll_background(state[name], _num_outputs(model), 1)
    converted = {}
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        hidden = has_linear and name == "head.hidden.weight"  # theirs is a Linear layer
        converted[f"{names[module]}.{leaf}"] = value.flatten(1) if hidden else value
    return converted


def published_names(model: VisionModel, library: Library) -> dict[str, str]:
    """Our modules -> the library's, of a whole model.

    Raises:
        ValueError: the library has no such model, or a part does not know its names there.
    """
    kind = next(kind for kind in PARTS if isinstance(model, kind))
    if library != "torchvision" and kind is not Classifier:
        raise ValueError(f"{library} has no {kind.__name__.lower()}s: choose 'torchvision'.")
    names = {}
    for part, prefix in PARTS[kind].items():
        module = getattr(model, part, None)
        if module is None:
            continue
        if not isinstance(module, HasPublishedNames):
            raise ValueError(f"a {type(module).__name__} has no published_names().")
        for ours, theirs in module.published_names(library).items():
            if kind is Segmenter and part == "backbone":
                theirs = theirs.removeprefix("features.")
            names[f"{part}.{ours}"] = f"{prefix}{theirs}"
    return names


def roll_background(value: Tensor, num_outputs: int, shift: int) -> Tensor:
    """Class rows (A * K, ...) of ``A`` anchors with the background moved: -1 from first to last, 1 back."""
    rows = value.reshape(-1, num_outputs, *value.shape[1:])
    return torch.roll(rows, shift, dims=1).reshape(value.shape)


def _background_tensors(model: VisionModel) -> list[str]:
    """Names of the tensors whose rows are class logits with a background, which torchvision has first."""
    if not isinstance(model, Detector) or model.score_function != "softmax":
        return []
    return [f"{layer}.{leaf}" for layer in class_layers(model) for leaf in ("weight", "bias")]


def _num_outputs(model: VisionModel) -> int:
    return len(model.class_names) + 1


def _is_same_layer(a: Tensor, b: Tensor) -> bool:
    """Whether shapes differ only in trailing ones, as a fully connected layer's and a 1x1 convolution's."""
    return a.flatten(1).shape == b.flatten(1).shape if a.dim() > 1 < b.dim() else False
