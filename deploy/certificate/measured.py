"""Whether an exported file still says what PyTorch says: numbers, tolerances and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvision.core.files import write_json
from pocketvision.deploy.certificate.coreml_package import SUFFIX, compare_package
from pocketvision.deploy.certificate.device_costs import THREADS, Costs, measure
from pocketvision.deploy.certificate.images import METRICS, ImageSet
from pocketvision.deploy.certificate.side_by_side import ExportComparison, compare
from pocketvision.deploy.certificate.verdict import (
    ArtifactKind,
    Check,
    Stage,
    judge,
    judge_stages,
    kind_of,
    score_change,
)
from pocketvision.deploy.converters.environment import Converters
from pocketvision.models import VisionModel


@dataclass(frozen=True)
class Certificate:
    """Everything that is known of an exported file beside its model."""

    path: Path
    kind: ArtifactKind
    images: ImageSet
    comparison: ExportComparison
    stages: tuple[Stage, ...]
    checks: tuple[Check, ...]
    costs: Costs

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def first_divergence(self) -> str | None:
        """The first stage over its limit."""
        return next((stage.name for stage in self.stages if stage.is_within is False), None)

    @property
    def verdict(self) -> str:
        """One sentence."""
        count = f"{len(self.images.paths)} images"
        if self.passed and self.costs.artifact is None:
            return (
                f"{self.path.name} is converted and structurally checked, not run: only Apple's systems "
                f"run it. Its program, computed here in float16, says what PyTorch says on {count}."
            )
        if self.passed:
            return f"{self.path.name} says what PyTorch says on {count}."
        reasons = ", ".join(check.text for check in self.checks if not check.passed)
        where = (
            ""
            if self.first_divergence is None
            else f"; the first stage that differs is {self.first_divergence}"
        )
        return f"{self.path.name} is over tolerance on {count}: {reasons}{where}."


def certify(
    model: VisionModel,
    path: Path,
    images: ImageSet,
    converters: Converters = Converters(),  # noqa: B008  # a value
) -> Certificate:
    """Compare the exported file ``path`` with the ``model`` that it was made from.

    ``converters`` read Core ML packages, which can't be run here.

    Raises:
        InputError: an image is broken, or the file can't be run here.
    """
    structure: list[Check] = []
    if path.suffix == SUFFIX:
        comparison, structure = compare_package(model, path, images, converters)
    else:
        comparison = compare(model, path, images)
    kind = kind_of(comparison)
    stages = judge_stages(comparison, kind)
    checks = structure + judge(comparison, stages, kind)
    return Certificate(path, kind, images, comparison, tuple(stages), tuple(checks), measure(model, path))


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Everything but the pictures as JSON: times in seconds, sizes in bytes."""
    write_json(path, to_dict(certificate))


def to_dict(certificate: Certificate) -> dict[str, Any]:
    """Plain values; a difference that is not finite is None, and its note says so."""
    comparison, costs = certificate.comparison, certificate.costs
    rows = [vars(stage) for stage in certificate.stages]
    return {
        "artifact": certificate.path.name,
        "weights_sha256": comparison.artifact.weights_sha256,
        "kind": certificate.kind,
        "task": comparison.artifact.task,
        "passed": certificate.passed,
        "verdict": certificate.verdict,
        "checks": [check._asdict() for check in certificate.checks],
        "first_divergence": certificate.first_divergence,
        "stages": [{key: _finite(value) for key, value in row.items()} for row in rows],
        "agreement": comparison.agreement.shares(),
        "metric": METRICS[comparison.artifact.task],
        "scores": {
            "torch": comparison.torch_score,
            "artifact": comparison.artifact_score,
            "change": score_change(comparison),
        },
        "images": {
            "from": certificate.images.place,
            "compared": len(certificate.images.paths),
            "available": certificate.images.num_available,
            "with_truth": certificate.images.records is not None,
        },
        "bytes": {"torch_weights": costs.num_weight_bytes, "artifact": costs.num_file_bytes},
        "latency": {
            name: None if row is None else {"median": row.median, "p90": row.p90, "first": row.cold_start}
            for name, row in (("torch", costs.torch), ("artifact", costs.artifact))
        }
        | {"threads": THREADS, "batch": costs.torch.batch_size, "rounds": costs.torch.num_calls},
        "peak_memory": {
            name: None if row is None else row.peak_memory
            for name, row in (("torch", costs.torch), ("artifact", costs.artifact))
        },
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
