"""What may differ between PyTorch and an exported file, and whether more does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pocketvision.deploy.certificate.agreement import SCORE_FLOOR
from pocketvision.deploy.certificate.images import METRICS
from pocketvision.deploy.certificate.side_by_side import ExportComparison

OUTPUT_LIMIT = 1e-3
"""Of raw outputs, scores and boxes as shares of the input; of inner stages times their largest number, if
that is above 1."""
AGREEMENT = 0.995
METRIC_LIMITS = {"float32": 1e-3, "float16": 2e-3, "int8": 0.01}
"""How much AP, mIoU or top-1 may change in float32, and fall in float16 and int8."""
COARSE_AGREEMENT = {"float16": 0.98, "int8": 0.8}
"""Without truth what is rounded is judged by boxes that match loosely, by pixels or best classes."""

STAGES = {
    "detection": ("resize", "normalize", "backbone", "head", "decode", "NMS"),
    "segmentation": ("resize", "normalize", "backbone", "head", "label map"),
    "classification": ("resize", "normalize", "backbone", "head", "scores"),
}
_RELATIVE_STAGES = ("normalize", "backbone")
_FLOAT_STAGES = ("resize", "normalize")
"""What stays exact where weights and activations are rounded."""
_LAST = {"NMS", "label map"}

ArtifactKind = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class Stage:
    """A stage over all images.

    ``max_abs`` is the largest difference, ``relative`` that of all numbers together (root of the sums of
    squares); None where the format hides the stage. ``limit`` is for ``max_abs``, None where rounding is
    expected; ``is_within`` is None where nothing can be said.
    """

    name: str
    max_abs: float | None = None
    relative: float | None = None
    limit: float | None = None
    is_within: bool | None = None
    note: str = ""


class Check(NamedTuple):
    """One line of the verdict."""

    text: str
    passed: bool


def kind_of(comparison: ExportComparison) -> ArtifactKind:
    """What tolerance the file has to keep."""
    if comparison.artifact.quantization is not None:
        return "int8"
    return "float16" if comparison.artifact.has_float16 else "float32"


def judge_stages(comparison: ExportComparison, kind: ArtifactKind) -> list[Stage]:
    """The stages in order, with what may differ in each."""
    stages = []
    for name in STAGES[comparison.artifact.task]:
        if name in _LAST:
            stages.append(_last_stage(name, comparison, kind))
            continue
        if name not in comparison.differences:
            stages.append(Stage(name, note="not visible in this format"))
            continue
        difference = comparison.differences[name]
        limit: float | None = 0.0 if name == "resize" else OUTPUT_LIMIT
        if name in _RELATIVE_STAGES:
            limit = OUTPUT_LIMIT * max(1.0, difference.largest)
        if kind != "float32" and name not in _FLOAT_STAGES:
            limit = None
        seen, there = comparison.num_tensors.get(name, (1, 1))
        note = "" if seen == there else f"{seen} of {there} tensors are visible"
        if not math.isfinite(difference.max_abs):
            note = "another shape, or numbers that are not finite"
        is_within = None if limit is None else difference.max_abs <= limit
        if name in _RELATIVE_STAGES and is_within is False and _outputs_agree(comparison):
            stages.append(Stage(name, note="not visible in this format"))  # it is another tensor
            continue
        stages.append(Stage(name, difference.max_abs, difference.relative, limit, is_within, note))
    return stages


def _outputs_agree(comparison: ExportComparison) -> bool:
    """Whether the raw outputs are visible and the same, so that all before them must be."""
    outputs = comparison.differences.get("head")
    return outputs is not None and outputs.max_abs <= OUTPUT_LIMIT


def _last_stage(name: str, comparison: ExportComparison, kind: ArtifactKind) -> Stage:
    """The results themselves: they agree or not."""
    share = min(share for key, share in comparison.agreement.shares().items() if not key.endswith("_loose"))
    what = "boxes" if name == "NMS" else "pixels"
    return Stage(
        name,
        is_within=share >= AGREEMENT if kind == "float32" else None,
        note=f"{share:.3%} of {what} the same",
    )


def judge(comparison: ExportComparison, stages: Sequence[Stage], kind: ArtifactKind) -> list[Check]:
    """The verdict, a line a tolerance."""
    checks = [
        Check(f"{stage.name} differs by {stage.max_abs:.2g} (limit {stage.limit:.2g})", stage.is_within)
        for stage in stages
        if stage.is_within is not None and stage.max_abs is not None
    ]
    shares = comparison.agreement.shares()
    change = score_change(comparison)
    if kind == "float32":
        checks += [
            Check(f"{SHARES[name]} {share:.2%} (at least {AGREEMENT:.1%})", share >= AGREEMENT)
            for name, share in shares.items()
            if name != "box_match_loose"
        ]
    if change is not None:
        limit = METRIC_LIMITS[kind]
        is_small = abs(change) <= limit if kind == "float32" else change >= -limit
        text = f"{METRICS[comparison.artifact.task]} changes by {change:+.4f} (limit {limit:g})"
        if kind == "float32" and not comparison.agreement.num_compared:
            text, is_small = f"{text}: not judged, no box scores above {SCORE_FLOOR:g} yet", True
        checks.append(Check(text, is_small))
    elif kind != "float32":
        name, share = list(shares.items())[-1]
        least = COARSE_AGREEMENT[kind]
        checks.append(Check(f"{SHARES[name]} {share:.2%} (at least {least:.0%})", share >= least))
    return checks


SHARES = {
    "box_match": "PyTorch's boxes found again",
    "box_match_back": "the file's boxes that PyTorch has",
    "box_match_loose": "PyTorch's boxes found again, loosely",
    "pixel_agreement": "pixels of the same class",
    "top1_agreement": "images with the same best class",
}
"""Kinds of agreement, in words."""


def score_change(comparison: ExportComparison) -> float | None:
    """AP, mIoU or top-1 of the file less PyTorch's; None without truth."""
    if comparison.torch_score is None or comparison.artifact_score is None:
        return None
    return comparison.artifact_score - comparison.torch_score
