"""ExecuTorch files (.pte) for XNNPACK, written in the converters' environment, in float32 and int8."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import convert
from pocketvision.deploy.export.calibration_images import save_batches
from pocketvision.deploy.export.quantization import weights_of
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.appended import append_metadata
from pocketvision.deploy.runtimes.artifact import Artifact

_SCRIPT = "executorch_script.py"
_DELEGATE = "executorch_call_delegate"


class PteGraph(NamedTuple):
    """A program without metadata, and what it is made of and by."""

    content: bytes
    summary: str


def write_executorch(graph: nn.Module, artifact: Artifact, path: Path, converters: Converters) -> str:
    """Write ``graph`` as a .pte file of one image a call, unless the artifact says how many.

    Raises:
        InputError: the model can't be traced or converted, or there is no converter.
    """
    artifact = replace(artifact, batch=artifact.batch or 1)
    made = _convert(graph, artifact, converter_python(converters), {"precision": "float32"})
    append_metadata(made.content, artifact, path)
    return made.summary


class ExecuTorchQuantizer:
    """Makes int8 versions of ``graph`` with ``python``, by PyTorch's own quantization of programs (PT2E).

    Weights are symmetric int8 with a scale for every output channel, activations have a scale for every
    tensor, from the least to the greatest value over all of ``images`` (N, 3, H, W). Inputs and outputs keep
    their types; what joins the levels of a detector stays float32.

    Raises:
        InputError: the graph can't be traced or converted.
    """

    def __init__(self, graph: nn.Module, artifact: Artifact, images: Tensor, python: Path) -> None:
        self.graph, self.artifact, self.python = graph, artifact, python
        self.weights = weights_of(graph)
        folder = Path(tempfile.mkdtemp(prefix="pocketvision-int8-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.made: dict[frozenset[str] | None, PteGraph] = {}
        self.images = folder / "images.npz"
        save_batches(images, artifact, self.images)

    @property
    def original(self) -> PteGraph:
        """The model in float32."""
        return self._converted(None, {"precision": "float32"})

    def quantized(self, float_blocks: Collection[str]) -> PteGraph:
        """The model in int8 but for the convolutions of ``float_blocks``."""
        names = [name for block in float_blocks for name in self.weights.get(block, {})]
        request = {"precision": "int8", "images": str(self.images), "float_weights": names}
        return self._converted(frozenset(float_blocks), request)

    def _converted(self, key: frozenset[str] | None, request: Mapping[str, Any]) -> PteGraph:
        """Converted once: it takes a minute."""
        if key not in self.made:
            self.made[key] = _convert(self.graph, self.artifact, self.python, request)
        return self.made[key]

    def save(self, model: PteGraph, artifact: Artifact, path: Path) -> str:
        """Write a program with its metadata; returns a summary."""
        append_metadata(model.content, artifact, path)
        return model.summary


def _convert(graph: nn.Module, artifact: Artifact, python: Path, request: Mapping[str, Any]) -> PteGraph:
    with tempfile.TemporaryDirectory() as work:
        report = convert(trace(graph, artifact), python, _SCRIPT, "graph.pte", Path(work), request)
        content = (Path(work) / "graph.pte").read_bytes()
    operators = dict(report["operators"])
    parts, others = operators.pop(_DELEGATE, 0), sum(operators.values())
    by = f"executorch {report['versions']['executorch']}"
    return PteGraph(content, f"{parts} parts for XNNPACK and {others} operators beside them, by {by}")
