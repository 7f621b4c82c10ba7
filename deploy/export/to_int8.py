"""Export in int8: calibrate, measure what it does, leave in float32 what it would hurt too much."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from pocketvision.core.files import write_json
from pocketvision.deploy.export.onnx_quantization import OnnxQuantizer
from pocketvision.deploy.export.openvino_quantization import OpenVinoQuantizer
from pocketvision.deploy.export.quantization import Quantizer, choose_float_blocks
from pocketvision.deploy.export.sensitivity import block_errors, errors_table
from pocketvision.deploy.export.to_file import plan_artifact, written_files
from pocketvision.deploy.export.to_onnx import complete, make_onnx
from pocketvision.deploy.formats import ExportOptions, check_format
from pocketvision.deploy.runtimes.artifact import OUTPUTS, Artifact, Quantization
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.models import VisionModel

logger = logging.getLogger("pocketvision")


@dataclass(frozen=True)
class Limit:
    """What int8 may cost: ``score`` rates an exported file, in [0, 1]; it may fall by ``max_drop``."""

    score: Callable[[Path], float]
    max_drop: float


def export_int8(
    model: VisionModel,
    format: str,
    output: Path,
    images: Tensor,
    options: ExportOptions,
    limit: Limit | None = None,
) -> Path:
    """Export ``model`` in int8 as ``onnx`` or ``openvino`` to ``output``; returns that path.

    Every convolution becomes int8 but for those of the blocks that must stay float32 to keep ``limit``.
    How much each block alone changes the outputs is logged, and written to ``NAME.sensitivity.json``.

    Args:
        images: (N, 3, H, W) uint8 of the model's input size, to calibrate with.

    Raises:
        InputError: as :func:`export_model`, or ``limit`` can't be kept.
    """
    check_format(format, output, replace(options, int8=True))
    artifact = plan_artifact(model, options)
    logger.info("int8: measuring ranges on %d images, then each block", len(images))
    raw = make_onnx(make_graph(model), replace(artifact, outputs=OUTPUTS[artifact.task]))
    on_raw = OnnxQuantizer(raw, images)
    errors = block_errors(on_raw, images)
    quantizer: Quantizer = on_raw  # NMS is added to what is quantized
    if options.label_map or format == "openvino":
        labeled = make_onnx(make_graph(model, label_map=True), artifact) if options.label_map else None
        whole = labeled or complete(deepcopy(raw), artifact)
        quantizer = OpenVinoQuantizer(whole, images) if format == "openvino" else OnnxQuantizer(whole, images)
    kept = () if limit is None else _keep_limit(quantizer, artifact, errors, output, limit)
    logger.info(errors_table(errors, kept))
    made = quantizer.quantized(kept)
    content = quantizer.save(made, replace(artifact, quantization=Quantization(len(images), kept)), output)
    size = sum(file.stat().st_size for file in written_files(output)) / 1e6
    logger.info("%s: %.2f MB, %s", output, size, content)
    facts = {"errors": errors, "float_blocks": kept, "num_images": len(images)}
    write_json(output.with_suffix(".sensitivity.json"), facts)
    return output


def _keep_limit(
    quantizer: Quantizer, artifact: Artifact, errors: Mapping[str, float], output: Path, limit: Limit
) -> tuple[str, ...]:
    """The blocks that stay float32."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"trial{output.suffix}"
        quantizer.save(quantizer.original, artifact, file)
        reference = limit.score(file)
        logger.info("float32 scores %.4f", reference)

        def score(float_blocks: Sequence[str]) -> float:
            quantizer.save(quantizer.quantized(float_blocks), artifact, file)
            reached = limit.score(file)
            logger.info(
                "int8 with %d of %d blocks in float32 scores %.4f", len(float_blocks), len(errors), reached
            )
            return reached

        return choose_float_blocks(errors, score, reference - limit.max_drop)
