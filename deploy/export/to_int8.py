"""Export in int8: calibrate, measure what it does, leave in float32 what it would hurt too much."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pocketvision.core.files import write_json
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.export.litert_quantization import LiteRtQuantizer
from pocketvision.deploy.export.onnx_quantization import OnnxQuantizer
from pocketvision.deploy.export.openvino_quantization import OpenVinoQuantizer
from pocketvision.deploy.export.quantization import Quantizer, choose_float_blocks
from pocketvision.deploy.export.sensitivity import block_errors, errors_table
from pocketvision.deploy.export.to_executorch import ExecuTorchQuantizer
from pocketvision.deploy.export.to_file import plan_artifact, written_files
from pocketvision.deploy.export.to_onnx import complete, make_onnx
from pocketvision.deploy.formats import OWN_PYTHON, ExportOptions, check_format, check_pixels
from pocketvision.deploy.runtimes.artifact import LABEL_MAP, Artifact, Quantization
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.models import VisionModel

logger = logging.getLogger("pocketvision")
_LARGE_DROP = 0.01

TaskScores = Mapping[str, float]
"""A metric a task: its name -> what was reached."""


@dataclass(frozen=True)
class Limit:
    """What int8 may cost: ``score`` rates an exported file, in [0, 1].

    Each metric may fall by ``max_drop``. Without it the scores of both are only told.
    """

    score: Callable[[Path], TaskScores]
    max_drop: float | None = None


def export_int8(
    model: VisionModel,
    format: str,
    output: Path,
    images: Tensor,
    options: ExportOptions,
    limit: Limit | None = None,
    converters: Converters = Converters(),  # noqa: B008  # a value
) -> Path:
    """Export ``model`` in int8 as ``format`` to ``output``; returns that path.

    Every convolution becomes int8 but for those of the blocks that must stay float32 to keep ``limit``.
    How much each block alone changes the outputs, in ONNX Runtime's int8, is logged, and written to
    ``NAME.sensitivity.json``, with the scores before and after where ``limit`` can give them.

    Args:
        images: (N, 3, H, W) uint8 of the model's input size, to calibrate with.

    Raises:
        InputError: as :func:`export_model`, or ``limit`` can't be kept.
    """
    check_format(format, output, replace(options, int8=True))
    check_pixels(format, model.resize.pixels)
    artifact = plan_artifact(model, options)
    if format in OWN_PYTHON:
        artifact = artifact.with_common(batch=artifact.batch or 1)
    logger.info("int8: measuring ranges on %d images, then each block", len(images))
    # Measured an image a call: several are what a graph for any number is made for when it is saved.
    measured = artifact.with_common(batch=1 if artifact.batch == 1 and format not in OWN_PYTHON else None)
    raw = make_onnx(make_graph(model), measured.raw)
    on_raw = OnnxQuantizer(raw, images)
    errors = block_errors(on_raw, images)
    if format in OWN_PYTHON:
        quantizer = _converted(model, format, artifact, images, converters)
    else:
        quantizer = _quantizer(model, format, measured, on_raw, images)
    trials = None if limit is None else _Trials(quantizer, artifact, output.suffix, limit)
    kept = () if trials is None else trials.blocks_to_keep(errors)
    for line in errors_table(errors, kept).splitlines():
        logger.info("%s", line)
    made = quantizer.quantized(kept)
    quantization = Quantization(len(images), kept)
    content = quantizer.save(made, artifact.with_common(quantization=quantization), output)
    size = sum(file.stat().st_size for file in written_files(output)) / 1e6
    logger.info("%s: %.2f MB, %s", output, size, content)
    facts: dict[str, Any] = {"errors": errors, "float_blocks": kept, "num_images": len(images)}
    if trials is not None:
        facts["scores"] = trials.compare(output, kept)
    write_json(output.with_suffix(".sensitivity.json"), facts)
    return output


def _quantizer(
    model: VisionModel, format: str, artifact: Artifact, on_raw: OnnxQuantizer, images: Tensor
) -> Quantizer:
    """What quantizes for ONNX Runtime or OpenVINO; ``on_raw`` has the graph with raw outputs."""
    is_labeled = artifact.outputs == LABEL_MAP
    if format == "onnx" and not is_labeled:
        return on_raw  # NMS is added to what is quantized
    labeled = make_onnx(make_graph(model, label_map=True), artifact) if is_labeled else None
    whole = labeled or complete(deepcopy(on_raw.original), artifact)
    return OpenVinoQuantizer(whole, images) if format == "openvino" else OnnxQuantizer(whole, images)


def _converted(
    model: VisionModel, format: str, artifact: Artifact, images: Tensor, converters: Converters
) -> Quantizer:
    """What quantizes in the converters' environment."""
    graph = make_graph(model, label_map=artifact.outputs == LABEL_MAP)
    logger.info("converting to %s, then measuring ranges there: this takes a minute or two", format)
    make = LiteRtQuantizer if format == "litert" else ExecuTorchQuantizer
    return make(graph, artifact, images, converter_python(converters))


class _Trials:
    """Scores of the model in float32 and of int8 versions of it, each as a file of the format."""

    def __init__(self, quantizer: Quantizer, artifact: Artifact, suffix: str, limit: Limit) -> None:
        self.quantizer, self.artifact, self.suffix, self.limit = quantizer, artifact, suffix, limit
        self.reference = self._score(quantizer.original)
        logger.info("float32 scores %s", _said(self.reference))
        self.reached: dict[tuple[str, ...], TaskScores] = {}

    def blocks_to_keep(self, errors: Mapping[str, float]) -> tuple[str, ...]:
        """The blocks that stay float32 so that the limit holds."""
        if self.limit.max_drop is None:
            return ()

        def drop(float_blocks: Sequence[str]) -> float:
            """What the metric that falls furthest loses."""
            reached = self._score(self.quantizer.quantized(float_blocks))
            logger.info(
                "int8 with %d of %d blocks in float32 scores %s",
                len(float_blocks), len(errors), _said(reached),
            )  # fmt: skip
            self.reached[tuple(float_blocks)] = reached
            return max(self.reference[metric] - reached[metric] for metric in reached)

        return choose_float_blocks(errors, drop, self.limit.max_drop)

    def compare(self, output: Path, kept: tuple[str, ...]) -> dict[str, Any]:
        """The scores of float32 and of the file ``output``, logged; of several metrics by metric."""
        after = self.reached[kept] if kept in self.reached else self.limit.score(output)
        scores = {
            metric: {"float32": before, "int8": after[metric]} for metric, before in self.reference.items()
        }
        for metric, (before, reached) in ((metric, pair.values()) for metric, pair in scores.items()):
            lost, subject = before - reached, "" if len(scores) == 1 else f" of {metric}"
            logger.info("%s: float32 %.4f, int8 %.4f (%+.4f)", metric, before, reached, -lost)
            if lost > _LARGE_DROP and self.limit.max_drop is None:
                remedy = "limit it with --max-drop, or calibrate on other images."
                logger.warning("int8 costs %.4f%s: %s", lost, subject, remedy)
        return scores if len(scores) > 1 else next(iter(scores.values()))

    def _score(self, model: Any) -> TaskScores:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"trial{self.suffix}"
            self.quantizer.save(model, self.artifact, file)
            return self.limit.score(file)


def _said(scores: TaskScores) -> str:
    """Scores as a log line tells them; one alone needs no name."""
    if len(scores) == 1:
        return f"{next(iter(scores.values())):.4f}"
    return ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
