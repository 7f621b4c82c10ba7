"""What int8 in one block alone does to the outputs of a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from pocketvision.deploy.export.onnx_quantization import OnnxQuantizer, run_onnx

logger = logging.getLogger("pocketvision")

NUM_IMAGES = 16
"""Images that blocks are compared on."""
_SECONDS_BETWEEN_LINES = 10.0


def block_errors(quantizer: OnnxQuantizer, images: Tensor) -> dict[str, float]:
    """How far the outputs go when one block alone is int8, for every block, the worst first.

    Args:
        images: (N, 3, H, W) uint8, of which the first ``NUM_IMAGES`` count.

    Returns:
        Block -> the root mean square of the change over the standard deviation of the output; of several
        outputs the worst counts.
    """
    images, blocks = images[:NUM_IMAGES], quantizer.blocks
    expected = run_onnx(quantizer.original, images)
    errors: dict[str, float] = {}
    start = last = time.perf_counter()
    for done, block in enumerate(blocks, start=1):
        others = [other for other in blocks if other != block]
        errors[block] = relative_error(run_onnx(quantizer.quantized(others), images), expected)
        now = time.perf_counter()
        if now - last > _SECONDS_BETWEEN_LINES:
            left = (now - start) / done * (len(blocks) - done)
            logger.info("int8: block %d/%d compared, %.0f s left", done, len(blocks), left)
            last = now
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def relative_error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The root mean square of the difference over the standard deviation, of the worst output."""
    pairs = zip(found, expected, strict=True)
    return max(float((a - b).square().mean().sqrt() / b.std().clamp(min=1e-9)) for a, b in pairs)


def errors_table(errors: Mapping[str, float], float_blocks: Collection[str]) -> str:
    """The report: a line a block, the worst first."""
    width = max(len(block) for block in errors)
    lines = [
        f"  {block:<{width}}  {error:7.2%}{'  stays float32' if block in float_blocks else ''}"
        for block, error in errors.items()
    ]
    return "\n".join(["change of the outputs when one block alone is int8:", *lines])
