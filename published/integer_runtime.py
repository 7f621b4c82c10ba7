"""How far TensorFlow Lite's integer runtime is from the real numbers that a quantized file is imported in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketvision.models import Classifier, Segmenter, SingleModel
from pocketvision.published.divergence import input_values
from pocketvision.published.photographs import photograph_like
from pocketvision.published.tensorflow.graph import FileGraph, placeholder_size, read_by
from pocketvision.published.tensorflow.graph_layers import find_layers
from pocketvision.published.tensorflow.layers import last_layers
from pocketvision.published.tensorflow.run_graph import GraphRun, NotRunnableError
from pocketvision.published.tensorflow.tflite import read_tflite

_NUM_IMAGES = 8
"""Of a classifier, which gives one class for each; other models give many numbers for one."""
_BEGINNING = "integer runtime: "


class RuntimeAgreement(NamedTuple):
    """``sentence`` reports it; ``rms`` is the difference of the last layers' outputs as a share of their
    RMS, ``same_class`` the share of images or pixels with the same best class (None where
    several last layers make it)."""

    sentence: str
    rms: float | None = None
    same_class: float | None = None

    @property
    def facts(self) -> dict[str, float]:
        """The numbers for a passport."""
        numbers = {"rms": self.rms, "same_class": self.same_class}
        return {name: round(value, 6) for name, value in numbers.items() if value is not None}


@torch.no_grad()
def integer_agreement(model: SingleModel, path: Path) -> RuntimeAgreement | None:
    """Run a quantized TFLite file in TensorFlow Lite's runtime, and its graph in real numbers, which is what
    ``model`` computes within the parity that was measured before; None for other files.

    The images have the spectrum of photographs. What can't be run is told in the sentence.
    """
    graph = read_tflite(path) if path.suffix == ".tflite" else {}
    if not any(node.op == "Clamp" for node in graph.values()):
        return None
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        return RuntimeAgreement(f"{_BEGINNING}not asked, it needs pip install 'pocketvision[litert]'")
    layers = find_layers(graph)
    ends = [layer.end for layer in last_layers(layers)]
    try:
        pairs = _compare(model, graph, _Runtime(litert, path), [layer.node for layer in layers], ends)
    except (NotRunnableError, ValueError, RuntimeError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return RuntimeAgreement(f"{_BEGINNING}not compared ({reason})")
    return _report(model, pairs, has_classes=len(ends) == 1)


def _compare(
    model: SingleModel, graph: FileGraph, runtime: _Runtime, nodes: Sequence[str], ends: Sequence[str]
) -> list[tuple[Tensor, Tensor]]:
    """Values of the last layers in real numbers and in the runtime, (N, H, W, C) both."""
    size, source = placeholder_size(graph) or model.resize.image_size, read_by(graph, nodes[0])
    pairs = []
    for seed in range(_NUM_IMAGES if isinstance(model, Classifier) else 1):
        image = photograph_like(model, size, seed).cpu()
        given = input_values(graph, source, image.permute(0, 2, 3, 1).double().numpy())
        if given is None:
            raise ValueError("something unknown prepares its images")
        run, values = GraphRun(graph, source, image), runtime.run(given, ends)
        for node in nodes:  # one after another: each is near to those before it
            run.value(node)
        for end, theirs in zip(ends, values, strict=True):
            real = run.value(end).permute(0, 2, 3, 1)
            pairs.append((real, torch.from_numpy(theirs).reshape(real.shape)))
    return pairs


def _report(
    model: SingleModel, pairs: Sequence[tuple[Tensor, Tensor]], *, has_classes: bool
) -> RuntimeAgreement:
    total = sum(float(real.square().sum()) for real, _ in pairs)
    rms = (sum(float((real - whole).square().sum()) for real, whole in pairs) / max(total, 1e-12)) ** 0.5
    sentence = f"{_BEGINNING}its last layers are the same to {rms:.1e} of their RMS"
    if not has_classes:
        return RuntimeAgreement(sentence, rms)
    same = torch.cat([(real.argmax(-1) == whole.argmax(-1)).flatten() for real, whole in pairs]).double()
    share = float(same.mean())
    what = "pixels" if isinstance(model, Segmenter) else "images"
    return RuntimeAgreement(f"{sentence}, the class is for {share:.1%} of {len(same)} {what}", rms, share)


class _Runtime:
    """A file in TensorFlow Lite's interpreter, with plain kernels: others hide what is in the middle."""

    def __init__(self, litert: Any, path: Path) -> None:
        kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._runtime = litert.Interpreter(
            str(path), experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
        )
        self._runtime.allocate_tensors()
        self._tensors: dict[str, Any] = {}
        for tensor in self._runtime.get_tensor_details():  # named as read_tflite() does
            name = tensor["name"] or "tensor"
            self._tensors[f"{name}#{tensor['index']}" if name in self._tensors else name] = tensor

    def run(self, image: npt.NDArray[np.float64], names: Sequence[str]) -> list[npt.NDArray[np.float64]]:
        """Real numbers of the tensors with these names for an image (1, H, W, 3)."""
        (given,) = self._runtime.get_input_details()
        values, dtype = image, given["dtype"]
        if np.dtype(dtype).kind != "f":
            scale, zero = given["quantization"]
            limits = np.iinfo(dtype)
            values = np.clip(np.round(image / (scale or 1.0) + zero), limits.min, limits.max)
        self._runtime.set_tensor(given["index"], values.astype(dtype))
        self._runtime.invoke()
        found = []
        for name in names:
            tensor = self._tensors[name]
            stored, (scale, zero) = self._runtime.get_tensor(tensor["index"]), tensor["quantization"]
            found.append((stored.astype(np.float64) - zero) * (scale or 1.0))
        return found
