"""What the image files are against what is said of them: of another size, in two places, oddly named."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.core.structures import Size
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.doctor import kinds
from pocketvision.doctor.checks.images import SUFFIX_OF, ImageFacts
from pocketvision.doctor.findings import Findings

SAME_RATIO = 0.02
_PROBLEMS = {
    "image_empty": (kinds.IMAGE_EMPTY, "{path} has zero bytes: fetch it again, or remove it."),
    "image_unreadable": (
        kinds.IMAGE_UNREADABLE,
        "{path} can't be read as an image ({detail}): replace or remove it.",
    ),
    "image_truncated": (
        kinds.IMAGE_TRUNCATED,
        "{path} is truncated: its end is missing; fetch it again, or remove it.",
    ),
    "image_channels": (kinds.IMAGE_CHANNELS, "{path} has {detail}: convert it, or remove it."),
}


def check_content(facts: ImageFacts, findings: Findings, read_as: PixelFormat | None = RGB) -> None:
    """Findings about an image file alone; that training reads it ``read_as`` its own channels is none."""
    path = facts.path
    if facts.problem:
        kind, sentence = _PROBLEMS[facts.problem]
        findings.notes.add(kind, path, sentence.format(path=path, detail=facts.detail))
        return
    if facts.mode == "CMYK":
        sentence = f"{path} is CMYK, whose colors differ from program to program: convert it to RGB."
        findings.notes.add(kinds.IMAGE_CMYK, path, sentence, "", path)
    if read_as not in (None, RGB):
        pass
    elif facts.bits > 8:
        sentence = (
            f"{path} has {facts.bits} bits a channel: train --data takes their range where all pictures have "
            "such, else the upper 8 are used."
        )
        findings.notes.add(kinds.IMAGE_16BIT, path, sentence, "", path)
    elif facts.mode in ("L", "LA", "1"):
        findings.notes.add(
            kinds.IMAGE_GRAY, path, f"{path} is gray; it is read as RGB with equal channels.", "", path
        )
    expected = facts.expected_format
    if expected and facts.format != expected:
        right = SUFFIX_OF.get(facts.format, "another suffix")
        sentence = f"{path} is a {facts.format} file, not {expected}: rename it to {right}, or convert it."
        findings.notes.add(kinds.IMAGE_FORMAT, path, sentence, "", path)
    if facts.orientation != 1:
        sentence = (
            f"{path} is turned by EXIF (orientation {facts.orientation}): it is read upright, as a person "
            "sees it; save it so if other programs read it."
        )
        findings.notes.add(kinds.IMAGE_ROTATED, path, sentence, "", path)


def check_stated_sizes(
    records: DetectionRecords, file: Path, facts_of: Mapping[str, ImageFacts], findings: Findings
) -> None:
    """Findings where the annotations state another size than the file has."""
    for path, (height, width) in zip(records.image_paths, records.sizes.tolist(), strict=True):
        facts = facts_of.get(path)
        size = None if facts is None else facts.upright_size
        if size is not None and size != (height, width):
            name = Path(path).name
            sentence = (
                f"{file} states {text((height, width))} for {name}, but the file has {text(size)}: correct "
                "the size, and look whether the boxes fit."
            )
            findings.notes.add(kinds.SIZE_DIFFERS, file, sentence, name, path)


def text(size: Size) -> str:
    """A size for a sentence."""
    return f"{size[1]}x{size[0]} (width x height)"


def check_names(paths: Iterable[str], root: Path, findings: Findings) -> None:
    """The same file name in two folders, and paths with spaces or unicode."""
    folders: dict[str, list[str]] = defaultdict(list)
    start = f"{root}{os.sep}"
    for path in paths:
        folder, name = os.path.split(path)
        folders[name].append(folder)
        inner = path.removeprefix(start)
        if not inner.isascii() or " " in inner:
            findings.notes.add(
                kinds.PATH_CHARACTERS,
                path,
                f"{path} has spaces or characters beyond ASCII: this program copes, some others do not.",
            )
    for name, found in folders.items():
        if len(found) > 1:
            places = ", ".join(found[:3])
            findings.notes.add(
                kinds.SAME_NAME,
                f"{found[1]}/{name}",
                f"{found[1]}/{name}: {name} is in {len(found)} folders ({places}): keep their paths when "
                "you copy them together.",
                name,
            )
