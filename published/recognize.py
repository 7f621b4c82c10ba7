"""Which of our configs a published file is a model of: family, width, head and preprocessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.core.weights import read_passport, read_state_dict
from pocketvision.published.architecture import Family, family_of
from pocketvision.published.divergence import file_normalization
from pocketvision.published.inputs import classifier_library
from pocketvision.published.load import WHOLE_STEMS, local_file
from pocketvision.published.tensorflow.checkpoint_facts import checkpoint_facts
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import FileGraph, constant, placeholder_size, reached_from
from pocketvision.published.tensorflow.import_file import SUFFIXES, file_padding, read_layers
from pocketvision.published.tensorflow.label_file import read_labels
from pocketvision.published.tensorflow.layers import Layer
from pocketvision.published.tensorflow.model_facts import find_model
from pocketvision.published.tensorflow.tflite import read_tflite

_SEGMENTERS = {
    "lraspp_v3_large_voc": "classifier.low_classifier.weight",
    "deeplabv3_v3_large_voc": "classifier.4.weight",
}
"""torchvision's segmenters: config, and the tensor with a row for each class."""
_USUAL = 0.5
_ROUNDING = 0.02
_ADVICE = "give --into CONFIG"


class Recognized(NamedTuple):
    """What a file says of itself: the ``config`` whose model it is at some width, the shapes of its
    ``kernels``, the number of its outputs for each box, pixel or image (``num_outputs``, with a background),
    ``arguments`` of the config's model, the width among them where it is known, the ``labels`` of its outputs
    where it lists them, and a sentence on what it can't tell and was ``assumed``."""

    config: str
    kernels: tuple[tuple[int, ...], ...]
    num_outputs: int
    arguments: Mapping[str, Any]
    labels: tuple[str | None, ...] | None = None
    assumed: str | None = None


def recognize(file: str | Path) -> Recognized:
    """What ``file`` is: a model of torchvision, a classifier of timm, or a classifier, SSD or segmenter of
    TensorFlow; of its checkpoints, which hold no graph, by the names and shapes of their variables.

    Raises:
        InputError: it is none of these; names the tensor or layer that does not fit.
    """
    path = local_file(Path(file))
    if path.suffix in SUFFIXES:
        return _of_tensorflow(path)
    state = read_state_dict(path)
    if path.suffix == ".safetensors" and read_passport(path):
        raise InputError(f"{path} is one of this project's already: it needs no import.")
    if (whole := _of_torchvision(state)) is not None:
        return whole
    family, library = family_of(state), classifier_library(state)
    if family is None or library is None:
        raise InputError(
            f"{path} is no MobileNet classifier of torchvision or timm (its first tensor is "
            f"{next(iter(state), 'none')}): {_ADVICE}."
        )
    kernels = [tuple(value.shape) for value in state.values() if value.ndim == 4]
    last = [value for name, value in state.items() if name.startswith("classifier") and value.ndim > 1]
    if not last:
        raise InputError(f"{path} has no tensor of a classifier: {_ADVICE}.")
    return Recognized(_classifier(family), tuple(kernels), len(last[-1]), {})


def _of_torchvision(state: Mapping[str, Tensor]) -> Recognized | None:
    """torchvision's detector or segmenters, all with MobileNetV3-Large, by their heads."""
    kernels = tuple(tuple(value.shape) for value in state.values() if value.ndim == 4)
    boxes = state.get("head.regression_head.module_list.0.1.weight")
    classes = state.get("head.classification_head.module_list.0.1.weight")
    if boxes is not None and classes is not None and len(boxes) >= 4:
        return Recognized("ssdlite_v3_large_coco", kernels, len(classes) * 4 // len(boxes), {})
    for config, name in _SEGMENTERS.items():
        if WHOLE_STEMS.keys() & state.keys() and name in state:
            return Recognized(config, kernels, len(state[name]), {})
    return None


def _of_tensorflow(path: Path) -> Recognized:
    if path.suffix in (".pb", ".tflite"):
        return _of_graph(path)
    found = checkpoint_facts(read_layers(path), path)
    config, arguments, num_outputs = found.model
    return Recognized(config, (), num_outputs, arguments, assumed=found.assumed)


def _of_graph(path: Path) -> Recognized:
    """What a frozen graph or TFLite file is, by how its layers are connected."""
    layers = read_layers(path)
    graph = read_frozen_graph(path) if path.suffix == ".pb" else read_tflite(path)
    inputs = _inputs(graph, layers[0])
    found = find_model(graph, layers, inputs.get("image_size"), path)
    padding = file_padding(layers)
    stated = {} if padding is None else {"padding": padding}
    config = found.config
    if config == "ssdlite_v2_person":  # which has its own of these
        is_usual = padding in ("same", None) and inputs.keys() <= {"image_size"}
        config, stated = (config, {}) if is_usual else ("imported_detection", stated)
    arguments = {**found.arguments, **stated, **inputs}
    return Recognized(config, (), found.num_outputs, arguments, read_labels(path))


def _classifier(family: Family) -> str:
    return f"classifier_{family.short_name}_imagenet"


def _inputs(graph: FileGraph, stem: Layer) -> dict[str, Any]:
    """Size, mean and std of the images, as far as the graph says it and they are not the usual ones."""
    source = graph[stem.node].inputs[0]
    arguments: dict[str, Any] = {}
    if (size := _image_size(graph, source)) is not None:
        arguments["image_size"] = size
    stated = file_normalization(graph, source)
    for name, values in zip(("mean", "std"), stated or (), strict=False):
        if any(abs(value - _USUAL) > _ROUNDING for value in values):
            arguments[name] = tuple(round(value, 6) for value in values)  # float32 stored it
    return arguments


def _image_size(graph: FileGraph, source: str) -> Size | None:
    """Of a placeholder of one size, else that to which the images are resized before the first layer reads
    ``source``."""
    if (stated := placeholder_size(graph)) is not None:
        return stated
    before = reached_from(graph, source)
    for node in graph.values():
        if node.op == "ResizeBilinear" and len(node.inputs) > 1 and node.name in before:
            size = constant(graph, node.inputs[1])
            return (int(size[0]), int(size[1])) if size is not None and size.shape == (2,) else None
    return None


def has_kernels(backbone: nn.Module, kernels: Iterable[tuple[int, ...]]) -> bool:
    """Whether all kernels of a backbone are among a file's: at any other width they are not."""
    own = Counter(tuple(value.shape) for value in backbone.state_dict().values() if value.ndim == 4)
    return not own - Counter(kernels)
