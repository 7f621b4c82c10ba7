"""``--fix``: a cleaned copy of a data set in its own format. The originals are only read."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.doctor.check import Examination
from pocketvision.doctor.fixes.detection import fix_detection
from pocketvision.doctor.fixes.images import fix_images
from pocketvision.doctor.fixes.masks import fix_masks
from pocketvision.doctor.fixes.writers import WRITERS
from pocketvision.doctor.kinds import KINDS


def check_output(root: Path, output: Path) -> None:
    """Refuse an output folder that has something in it, or lies inside the data set.

    Raises:
        InputError: it does.
    """
    if output.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{output} lies inside {root}: choose a folder outside of it for --fix.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} exists already: choose another folder for --fix, or move it away.")


def write_fixed(examination: Examination, output: Path) -> list[str]:
    """Write the cleaned copy; returns what was done about each kind of finding, a line each.

    Raises:
        InputError: ``output`` is not empty, or nothing would be left of the data.
    """
    report, facts = examination.report, examination.facts
    check_output(report.root, output)
    output.mkdir(parents=True, exist_ok=True)
    if examination.detection is not None and examination.boxes is not None:
        data = examination.detection
        fix_detection(data, examination.boxes, examination.frames, facts, output, WRITERS[data.format])
    elif examination.segmentation is not None:
        fix_masks(examination.segmentation, examination.masks, examination.cause, facts, output)
    elif examination.classification is not None:
        images = [(path, True) for path, _, _ in examination.classification.images]
        fix_images(images, facts, report.root, output)
        for folder in examination.classification.folders:  # an empty class keeps its number
            (output / folder.relative_to(report.root)).mkdir(parents=True, exist_ok=True)
    found = [(about, report.findings.counts[kind]) for kind, about in KINDS.items()]
    return [f"{about.title} ({count}): {about.fix}" for about, count in found if count and about.fix]
