"""Images for ``--fix``: good ones are linked, odd ones rewritten as upright 8-bit RGB, bad ones left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.core.structures import Size
from pocketvision.datasets.images.colors import rgb_of
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import from_pillow, read_bytes
from pocketvision.doctor.checks.images import SUFFIX_OF, ImageFacts
from pocketvision.doctor.threads import map_in_threads

_KEPT_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")


class FixedImage(NamedTuple):
    """An image of the output: its path below the output folder, and its (height, width)."""

    name: Path
    size: Size


class _Job(NamedTuple):
    facts: ImageFacts
    target: Path
    name: Path
    turn: bool


def fix_images(
    images: Iterable[tuple[Path, bool]], facts_of: Mapping[str, ImageFacts], root: Path, output: Path
) -> dict[Path, FixedImage]:
    """Write the images that can be read; source path -> what it became.

    ``images`` are paths with whether to turn them as EXIF says. Those below ``root`` keep their place,
    others go to ``images``.
    """
    jobs: list[_Job] = []
    taken: set[Path] = set()
    for path, turn in dict(images).items():
        facts = facts_of.get(str(path))
        if facts is None or facts.problem or facts.size is None:
            continue
        name = _free(relative(path, root).with_suffix(_suffix(facts, path)), taken)
        jobs.append(_Job(facts, output / name, name, turn))
    fixed = map_in_threads(_fix, jobs, "writing images")
    return {
        Path(job.facts.path): result for job, result in zip(jobs, fixed, strict=True) if result is not None
    }


def relative(path: Path, root: Path) -> Path:
    """Where a file of the data set goes below the output folder."""
    return (
        path.relative_to(root)
        if path.is_relative_to(root) and ".." not in path.parts
        else Path("images", path.name)
    )


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where that is impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _suffix(facts: ImageFacts, path: Path) -> str:
    if facts.format not in _KEPT_FORMATS:
        return ".png"
    return path.suffix if facts.expected_format == facts.format else SUFFIX_OF[facts.format]


def _free(name: Path, taken: set[Path]) -> Path:
    """``name``, or one with a number where an image that was renamed would meet another."""
    number, free = 2, name
    while free in taken:
        free = name.with_stem(f"{name.stem}_{number}")
        number += 1
    taken.add(free)
    return free


def _fix(job: _Job) -> FixedImage | None:
    facts = job.facts
    assert facts.size is not None
    is_plain = facts.format in _KEPT_FORMATS and facts.mode != "CMYK" and facts.bits <= 8
    if is_plain and facts.orientation == 1:
        link(Path(facts.path), job.target)
        return FixedImage(job.name, facts.size)
    try:
        with opened(read_bytes(facts.path), facts.path) as image:
            rgb = Image.fromarray(from_pillow(image) if job.turn else rgb_of(image, facts.path))
    except InputError:  # a header can be fine and the pixels broken: such an image is dropped
        return None
    kind = "JPEG" if job.target.suffix.lower() in (".jpg", ".jpeg", ".jpe") else "PNG"
    options: dict[str, int] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    with replacing(job.target) as temporary:
        rgb.save(temporary, kind, **options)
    return FixedImage(job.name, (rgb.height, rgb.width))
