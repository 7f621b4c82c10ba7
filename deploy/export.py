"""One function for all formats: a model -> a file that carries its metadata."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.artifact import DETECTIONS, LABEL_MAP, Artifact, describe
from pocketvision.deploy.formats import ExportOptions, check_format
from pocketvision.deploy.graphs import make_graph
from pocketvision.models import VisionModel

logger = logging.getLogger("pocketvision")
_MEGABYTE = 1e6
_MIN_SIZE = 33
"""Pixels a side; below, maps shrink to a single cell, for which tracing makes other graphs."""


Writer = Callable[[nn.Module, Artifact, Path], str]
"""Writes a graph with its metadata to a file and says what is in it."""


def export_model(model: VisionModel, format: str, output: Path, options: ExportOptions | None = None) -> Path:
    """Export ``model`` as ``format`` to ``output`` and return that path.

    Raises:
        InputError: the format can't be written here, does not fit the options or the file's name, or
            the options do not fit the model.
    """
    options = options or ExportOptions()
    check_format(format, output, options)
    artifact = plan_artifact(model, options)
    start = time.perf_counter()
    logger.info("exporting to %s: this takes a few seconds up to a minute", output)
    graph = make_graph(model, label_map=options.label_map)
    content = _writer(format)(graph, artifact, output)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in written_files(output)) / _MEGABYTE
    logger.info("%s: %.2f MB, %s, %.0f s", output, size, content, seconds)
    return output


def plan_artifact(model: VisionModel, options: ExportOptions) -> Artifact:
    """The metadata that ``model`` exported with ``options`` gets.

    Raises:
        InputError: the options do not fit the model.
    """
    artifact = replace(
        describe(model),
        input_type=options.input_type,
        batch=options.batch,
        has_dynamic_size=options.dynamic_size,
        source=options.source,
        licence=options.licence,
    )
    if options.dynamic_size and artifact.task == "detection":
        raise InputError("A detector's anchors belong to one image size: export it with --size fixed.")
    if options.nms:
        if artifact.task != "detection":
            raise InputError(f"--nms is for detectors, this model is for {artifact.task}: leave it out.")
        return replace(artifact, outputs=DETECTIONS)
    if options.label_map:
        if artifact.task != "segmentation":
            raise InputError(f"--labels is for segmenters, this model is for {artifact.task}: leave it out.")
        return replace(artifact, outputs=LABEL_MAP)
    return artifact


def written_files(output: Path) -> list[Path]:
    """The files that make up an artifact: OpenVINO's .xml has its weights in a .bin beside it."""
    return [output, output.with_suffix(".bin")] if output.suffix == ".xml" else [output]


def trace(graph: nn.Module, artifact: Artifact) -> torch.export.ExportedProgram:
    """``graph`` as a PyTorch program with the artifact's dynamic dimensions.

    Raises:
        InputError: the model can't be traced with them.
    """
    dtype = torch.uint8 if artifact.input_type == "uint8" else torch.float32
    # Sizes 0 and 1 would be taken for constants.
    images = torch.zeros(artifact.batch or 2, 3, *artifact.image_size, dtype=dtype)
    dynamic: dict[int, torch.export.Dim] = {}
    if artifact.batch is None:
        dynamic[0] = torch.export.Dim("batch")
    if artifact.has_dynamic_size:
        dynamic |= {2: torch.export.Dim("height", min=_MIN_SIZE), 3: torch.export.Dim("width", min=_MIN_SIZE)}
    try:
        with torch.no_grad():
            return torch.export.export(graph, (images,), dynamic_shapes={"images": dynamic}, strict=False)
    except Exception as error:  # tracing may fail in as many ways as code can be written
        reason = " ".join(str(error).split())[:300]
        hint = "try --size fixed or --batch 1" if dynamic else "replace the part that it names"
        raise InputError(f"This model can't be exported: {hint} ({reason}).") from error


def _writer(format: str) -> Writer:
    # Imported here: each needs this file.
    from pocketvision.deploy.onnx_export import write_onnx
    from pocketvision.deploy.openvino_export import write_openvino
    from pocketvision.deploy.pt2_export import write_pt2

    return {"onnx": write_onnx, "openvino": write_openvino, "pt2": write_pt2}[format]
