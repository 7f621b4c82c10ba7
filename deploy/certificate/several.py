"""The certificate of a model of several tasks: one of each part, and all must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.files import write_json
from pocketvision.core.page import Verdict, write_page
from pocketvision.deploy.certificate.device_costs import measure
from pocketvision.deploy.certificate.document import certificate_sections
from pocketvision.deploy.certificate.images import ImageSet, find_images
from pocketvision.deploy.certificate.measured import Certificate, to_dict
from pocketvision.deploy.certificate.side_by_side import compare
from pocketvision.deploy.certificate.verdict import judge, judge_stages, kind_of
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.part import PartRuntime
from pocketvision.models import JointModel


@dataclass(frozen=True)
class JointCertificate:
    """The certificates of every part of an exported file, by task."""

    path: Path
    parts: Mapping[str, Certificate]

    @property
    def passed(self) -> bool:
        return all(part.passed for part in self.parts.values())

    @property
    def verdict(self) -> str:
        """A sentence for each task."""
        return " ".join(f"{task.capitalize()}: {part.verdict}" for task, part in self.parts.items())


def images_of_parts(data: Path, artifact: Artifact) -> dict[str, ImageSet]:
    """Images for every task; with truth for those that ``data`` is a data set of."""
    return {part.task: find_images(data, part) for part in artifact.parts}


def certify_parts(model: JointModel, path: Path, images: Mapping[str, ImageSet]) -> JointCertificate:
    """Compare the exported file ``path`` with ``model``, task by task.

    Raises:
        InputError: an image is broken, or the file can't be run here.
    """
    runtime, costs, parts = open_runtime(path), measure(model, path), {}
    for task, of_task in images.items():
        comparison = compare(model.part(task), path, of_task, PartRuntime(runtime, task))
        kind = kind_of(comparison)
        stages = judge_stages(comparison, kind)
        checks = judge(comparison, stages, kind)
        parts[task] = Certificate(path, kind, of_task, comparison, tuple(stages), tuple(checks), costs)
    return JointCertificate(path, parts)


def write_parts(certificate: JointCertificate, path: Path) -> None:
    """Write the certificates as JSON, each under the name of its task."""
    facts = {"artifact": certificate.path.name, "task": "joint", "passed": certificate.passed}
    parts = {task: to_dict(part) for task, part in certificate.parts.items()}
    write_json(path, {**facts, "verdict": certificate.verdict, "parts": parts})


def write_parts_page(certificate: JointCertificate, path: Path) -> None:
    """Write them as one page, with the task before the title of each section."""
    sections = [
        section._replace(title=f"{task.capitalize()}: {section.title}")
        for task, part in certificate.parts.items()
        for section in certificate_sections(part)
    ]
    title = f"Certificate of {certificate.path.name}: {' and '.join(certificate.parts)}"
    write_page(path, title, sections, Verdict(certificate.passed, certificate.verdict))
