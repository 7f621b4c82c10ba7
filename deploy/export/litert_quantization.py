"""Static int8 for LiteRT, by Google's quantizer in the converters' environment."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Collection
from pathlib import Path

from torch import Tensor, nn

from pocketvision.deploy.converters.litert_quantize_script import fingerprint
from pocketvision.deploy.export.calibration_images import save_batches
from pocketvision.deploy.export.quantization import weights_of
from pocketvision.deploy.export.to_litert import LiteRtGraph, make_litert, run_litert_script, save_litert
from pocketvision.deploy.runtimes.artifact import Artifact


class LiteRtQuantizer:
    """Makes int8 versions of ``graph``, which is converted once, with ``python``.

    Weights are symmetric int8 with a scale for every output channel, activations have a scale for every
    tensor, from the least to the greatest value over all of ``images`` (N, 3, H, W). Inputs and outputs keep
    their types; what joins the levels of a detector stays float32.

    Raises:
        InputError: the graph can't be traced, converted or quantized.
    """

    def __init__(self, graph: nn.Module, artifact: Artifact, images: Tensor, python: Path) -> None:
        self.weights, self.python = weights_of(graph), python
        self.work = Path(tempfile.mkdtemp(prefix="pocketvision-int8-"))
        weakref.finalize(self, shutil.rmtree, self.work, ignore_errors=True)
        self.original = make_litert(graph, artifact, python, self.work / "float32.tflite")
        save_batches(images, artifact, self.work / "images.npz")

    def quantized(self, float_blocks: Collection[str]) -> LiteRtGraph:
        """The model in int8 but for the convolutions of ``float_blocks`` and what follows them."""
        request = {
            "model": str(self.original.path),
            "precision": "int8",
            "images": str(self.work / "images.npz"),
            "ranges": str(self.work / "ranges.json"),
            "float_weights": [
                fingerprint(weight.numpy())
                for block in float_blocks
                for weight in self.weights.get(block, {}).values()
            ],
        }
        path = self.work / f"{len(list(self.work.iterdir()))}.tflite"
        return run_litert_script("litert_quantize_script.py", request, self.python, path)

    def save(self, model: LiteRtGraph, artifact: Artifact, path: Path) -> str:
        """Write a graph with its metadata; returns a summary."""
        return save_litert(model, artifact, path)
