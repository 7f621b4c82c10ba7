"""One function for all formats: a model -> a file that carries its metadata."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from pocketvision.backbones.split import split_blocks
from pocketvision.core.errors import InputError
from pocketvision.costs.splitting import plan_split
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.formats import BESIDE, ExportOptions, check_format, check_pixels
from pocketvision.deploy.runtimes.artifact import DETECTIONS, LABEL_MAP, Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.models import JointModel, VisionModel

logger = logging.getLogger("pocketvision")
_MEGABYTE = 1e6


GraphWriter = Callable[[nn.Module, Artifact, Path], str]
"""Writes a graph with its metadata to a file and says what is in it."""


def export_model(
    model: VisionModel,
    format: str,
    output: Path,
    options: ExportOptions | None = None,
    converters: Converters = Converters(),  # noqa: B008  # a value
) -> Path:
    """Export ``model`` as ``format`` to ``output`` and return that path.

    ``converters`` is for formats that can't be written beside this PyTorch: LiteRT, ExecuTorch.

    Raises:
        InputError: the format can't be written here, does not fit the options or the file's name, or
            the options do not fit the model.
    """
    options = options or ExportOptions()
    check_format(format, output, options)
    check_pixels(format, model.resize.pixels)
    artifact = plan_artifact(model, options)
    start = time.perf_counter()
    logger.info("exporting to %s: this takes a few seconds up to a minute or two", output)
    graph = make_graph(model, label_map=options.label_map)
    if options.split is not None:
        graph = _split(graph, artifact, options.split)
    content = _writer(format, converters)(graph, artifact, output)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in written_files(output)) / _MEGABYTE
    logger.info("%s: %.2f MB, %s, %.0f s", output, size, content, seconds)
    return output


def _split(graph: nn.Module, artifact: Artifact, num_groups: int) -> nn.Module:
    """``graph`` with the blocks that need the most memory in ``num_groups`` groups of channels."""
    plan = plan_split(graph, artifact.image_size, num_groups, artifact.num_channels)
    if not plan.blocks:
        raise InputError("No block of this model needs the most memory by itself: leave --split out.")
    logger.info(
        "%d blocks in %d groups: activations of an image take %.2f MB at their peak instead of %.2f",
        len(plan.blocks), num_groups, plan.peak_after / _MEGABYTE, plan.peak_before / _MEGABYTE,
    )  # fmt: skip
    return split_blocks(graph, num_groups, plan.blocks)


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
        has_float16=options.float16,
    )
    if isinstance(model, JointModel):
        return _plan_parts(artifact, options)
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


def _plan_parts(artifact: Artifact, options: ExportOptions) -> Artifact:
    """The parts of a model of several tasks take what the whole takes; boxes may be final."""
    if options.label_map or options.dynamic_size:
        raise InputError(
            "A model of several tasks is exported with logits of its map and for one image size yet: leave "
            "--labels and --size out."
        )
    if options.nms:
        if all(part.task != "detection" for part in artifact.parts):
            raise InputError("--nms is for detectors, and none of the model's tasks is one: leave it out.")
        artifact = artifact.with_parts(
            replace(part, outputs=DETECTIONS) if part.task == "detection" else part for part in artifact.parts
        )
    common = {name: getattr(artifact, name) for name in ("input_type", "batch", "has_float16")}
    return artifact.with_common(**common)


def written_files(output: Path) -> list[Path]:
    """The files that make up an artifact."""
    if output.is_dir():
        return sorted(file for file in output.rglob("*") if file.is_file())
    return [output, *(output.with_suffix(suffix) for suffix in BESIDE.get(output.suffix, ()))]


def _writer(format: str, converters: Converters) -> GraphWriter:
    # Imported here: each needs this file.
    from pocketvision.deploy.export.to_coreml import write_coreml
    from pocketvision.deploy.export.to_executorch import write_executorch
    from pocketvision.deploy.export.to_litert import write_litert
    from pocketvision.deploy.export.to_ncnn import write_ncnn
    from pocketvision.deploy.export.to_onnx import write_onnx
    from pocketvision.deploy.export.to_openvino import write_openvino
    from pocketvision.deploy.export.to_pt2 import write_pt2

    writers: dict[str, GraphWriter] = {
        "onnx": write_onnx, "openvino": write_openvino, "pt2": write_pt2,
        "ncnn": write_ncnn,
        "litert": partial(write_litert, converters=converters),
        "executorch": partial(write_executorch, converters=converters),
        "coreml": partial(write_coreml, converters=converters),
    }  # fmt: skip
    return writers[format]
