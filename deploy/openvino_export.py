"""OpenVINO's intermediate representation."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import nn

from pocketvision.deploy.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.onnx_export import make_onnx
from pocketvision.deploy.openvino_runtime import openvino_core
from pocketvision.deploy.packages import optional


def write_openvino(graph: nn.Module, artifact: Artifact, path: Path) -> str:
    """Write ``graph`` as an .xml and a .bin in float32, converted from ONNX; returns a summary.

    Raises:
        InputError: a package is missing, or an operator of the model has no counterpart.
    """
    core = openvino_core()
    onnx_model = make_onnx(graph, artifact)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "model.xml"
        source.write_bytes(onnx_model.SerializeToString())
        model = core.read_model(source)
        model.set_rt_info(artifact.to_json(), METADATA_KEY)
        save_openvino(model, target)
        publish(target, path)
    return f"{len(model.get_ops())} operators"


def save_openvino(model: object, path: Path) -> None:
    """Save an ``openvino.Model`` without rounding its weights to float16."""
    optional("openvino").save_model(model, path, compress_to_fp16=False)


def publish(written: Path, path: Path) -> None:
    """Move an .xml and its .bin to their final name, the weights first."""
    written.with_suffix(".bin").replace(path.with_suffix(".bin"))
    written.replace(path)
