"""OpenVINO's intermediate representation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from pocketvision.deploy.export.to_onnx import make_onnx
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.openvino_model import openvino_core


def write_openvino(graph: nn.Module, artifact: Artifact, path: Path) -> str:
    """Write ``graph`` as an .xml and a .bin in float32, converted from ONNX; returns a summary.

    Raises:
        InputError: a package is missing, or an operator of the model has no counterpart.
    """
    onnx_model = make_onnx(graph, artifact)
    return save_openvino(to_openvino(onnx_model), artifact, path)


def to_openvino(onnx_model: Any) -> Any:
    """An ``onnx.ModelProto`` as an ``openvino.Model``.

    What OpenVINO computes from shapes of constants is computed now: weights of depthwise convolutions, which
    would stay out of reach of int8.
    """
    optional("openvino")  # a part of it may be loaded where the whole can't be
    passes = optional("openvino.passes")
    model = openvino_core().read_model(onnx_model.SerializeToString())
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return model


def save_openvino(model: Any, artifact: Artifact, path: Path) -> str:
    """Write an ``openvino.Model`` with its metadata, without rounding its weights to float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model.set_rt_info(artifact.to_json(), METADATA_KEY)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        target = Path(folder) / "model.xml"
        optional("openvino").save_model(model, target, compress_to_fp16=False)
        publish(target, path)
    return f"{len(model.get_ops())} operators"


def publish(written: Path, path: Path) -> None:
    """Move an .xml and its .bin to their final name, the weights first."""
    written.with_suffix(".bin").replace(path.with_suffix(".bin"))
    written.replace(path)
