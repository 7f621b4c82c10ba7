"""ONNX files."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.deploy.export.onnx_nms import add_nms
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact

OPSET = 18
"""What PyTorch's exporter writes without converting, so ONNX Runtime from 1.14 (2023) reads it, and its web
version; HardSwish came with 14."""
BATCH = "batch"
"""What a dimension for any number of images is called."""


def write_onnx(graph: nn.Module, artifact: Artifact, path: Path) -> str:
    """Write ``graph`` as ONNX with its metadata; returns a summary of its content.

    Raises:
        InputError: a package is missing, or an operator of the model has no counterpart.
    """
    return save_onnx(make_onnx(graph, artifact), path)


def save_onnx(model: Any, path: Path) -> str:
    """Write an ``onnx.ModelProto``; returns a summary of its content."""
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return f"{len(model.graph.node)} operators of opset {OPSET}"


def make_onnx(graph: nn.Module, artifact: Artifact) -> Any:
    """``graph`` as an ``onnx.ModelProto``, checked, with NMS if the artifact has it, and its metadata."""
    optional("onnx")  # missing, it is named before seconds of tracing
    names = artifact.raw.outputs if artifact.has_nms else artifact.outputs
    model = _clean(_convert(graph, artifact, names))
    _name_dimensions(model, artifact)
    return complete(model, artifact)


def complete(model: Any, artifact: Artifact) -> Any:
    """Raw outputs for the artifact's number of images, with its NMS and its metadata; checked."""
    _fix_batch(model, artifact)
    if artifact.has_nms:
        add_nms(model, artifact)
    write_metadata(model, artifact)
    optional("onnx").checker.check_model(model, full_check=True)
    return model


def _fix_batch(model: Any, artifact: Artifact) -> None:
    """Let a graph for any number of images take the artifact's, if it has one."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if artifact.batch is not None and dimension.dim_param == BATCH:
                dimension.dim_value = artifact.batch


def write_metadata(model: Any, artifact: Artifact) -> None:
    """Let an ``onnx.ModelProto`` carry ``artifact``, in place of what it carried."""
    optional("onnx").helper.set_model_props(model, {METADATA_KEY: artifact.to_json()})


def _convert(graph: nn.Module, artifact: Artifact, names: tuple[str, ...]) -> Any:
    optional("onnxscript")
    program = trace(graph, artifact)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # of PyTorch about its own code
        try:
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=["images"],
                output_names=list(names),
                verbose=False,
            )
        except Exception as error:  # one class for every step of PyTorch's converter
            reason = " ".join(str(error.__cause__ or error).split())[:300]
            raise InputError(f"This model has an operator that ONNX lacks: replace it ({reason}).") from error
    assert exported is not None
    return exported.model_proto


def _clean(model: Any) -> Any:
    """Without PyTorch's notes, which hold paths of this machine and are longer than the graph."""
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, model):
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.value_info[:]
    model.producer_name, model.producer_version = "pocketvision", ""
    graph.name = "pocketvision"
    return model


def _name_dimensions(model: Any, artifact: Artifact) -> None:
    """Call the dynamic dimensions batch, height and width, whatever the tracer called them."""
    (images,) = model.graph.input
    names = {}
    for dimension, name in zip(
        images.type.tensor_type.shape.dim, (BATCH, "", "height", "width"), strict=True
    ):
        if dimension.dim_param:
            names[dimension.dim_param] = name
            dimension.dim_param = name
    for output in model.graph.output:
        for dimension in output.type.tensor_type.shape.dim:
            if dimension.dim_param:  # an expression, such as half of the height, is left open
                dimension.dim_param = names.get(dimension.dim_param, "")
