"""What the image files are against what is said of them: missing, unused, of another size, in two places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.structures import Size
from pocketvision.doctor.checks.images import SUFFIX_OF, ImageFacts
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import images_in
from pocketvision.doctor.raw.stated import RawImage

_SAME_RATIO = 0.02
_SENTENCES = {
    "image_empty": "{path} has zero bytes: fetch it again, or remove it.",
    "image_unreadable": "{path} can't be read as an image ({detail}): replace or remove it.",
    "image_truncated": "{path} is truncated: its end is missing; fetch it again, or remove it.",
}


class BoxFrame(NamedTuple):
    """In what the annotations of an image are measured.

    ``size`` is the (height, width) that boxes refer to; ``is_turned`` means that they fit the image as
    EXIF turns it, which is how it is read.
    """

    size: Size | None
    is_turned: bool = False


def check_content(facts: ImageFacts, findings: Findings, where: str = "") -> None:
    """Findings about an image file alone."""
    path = facts.path
    if facts.problem:
        sentence = _SENTENCES[facts.problem].format(path=path, detail=facts.detail)
        findings.add(facts.problem, path, sentence, where)
        return
    if facts.mode == "CMYK":
        sentence = f"{path} is CMYK, whose colors differ from program to program: convert it to RGB."
        findings.add("image_cmyk", path, sentence, where, path)
    if facts.bits > 8:
        sentence = f"{path} has {facts.bits} bits a channel, of which training uses the upper 8: convert it."
        findings.add("image_16bit", path, sentence, where, path)
    elif facts.mode in ("L", "LA", "1"):
        findings.add(
            "image_grey", path, f"{path} is gray; it is read as RGB with equal channels.", where, path
        )
    expected = facts.expected_format
    if expected and facts.format != expected:
        right = SUFFIX_OF.get(facts.format, "another suffix")
        sentence = f"{path} is a {facts.format} file, not {expected}: rename it to {right}, or convert it."
        findings.add("image_format", path, sentence, where, path)
    if facts.orientation != 1:
        sentence = (
            f"{path} is turned by EXIF (orientation {facts.orientation}), and read upright: look whether its "
            "annotations fit what is seen, or save it upright."
        )
        findings.add("image_rotated", path, sentence, where, path)


def frame_of(image: RawImage, facts: ImageFacts | None, findings: Findings) -> BoxFrame:
    """What the boxes of an image refer to; findings where the annotations state another size."""
    if facts is None or facts.size is None:
        return BoxFrame(image.stated_size)
    stored, upright, stated = facts.size, facts.upright_size or facts.size, image.stated_size
    if stated is None:
        # Without a size nothing tells; programs that draw boxes show images upright.
        return BoxFrame(upright, is_turned=facts.orientation != 1)
    if stated == upright:
        return BoxFrame(upright, is_turned=facts.orientation != 1)
    if stated == stored:
        findings.add(
            "size_turned",
            image.file,
            f"{image.file} states {_text(stated)} for {image.name}, which EXIF turns to "
            f"{_text(upright)}: its boxes are turned too; save the image upright and annotate that.",
            image.name,
            image.path,
        )
        return BoxFrame(stored)
    findings.add(
        "size_differs",
        image.file,
        f"{image.file} states {_text(stated)} for {image.name}, but the file has "
        f"{_text(stored)}: correct the size, and look whether the boxes fit.",
        image.name,
        image.path,
    )
    ratio = stated[1] / stated[0] * stored[0] / stored[1]
    return BoxFrame(stated if abs(ratio - 1) < _SAME_RATIO else stored)


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]} (width x height)"


def check_missing(images: Sequence[RawImage], findings: Findings) -> None:
    """Images that annotations name and that are not there."""
    for image in images:
        if not image.exists:
            findings.add(
                "image_missing",
                image.file,
                f"{image.file} names {image.name}, but there is no {image.path}: add "
                "it, or remove its annotations.",
                image.name,
            )


def check_unused(folders: Iterable[Path], used: set[Path], findings: Findings) -> None:
    """Images in ``folders`` that nothing names."""
    for folder in sorted(folders):
        for path in (folder / name for name in images_in(folder)):
            if path not in used:
                findings.add(
                    "image_unused",
                    path,
                    f"{path} is in no annotation: annotate it (as background if it shows "
                    "nothing), or remove it.",
                    "",
                    path,
                )


def check_names(paths: Iterable[Path], root: Path, findings: Findings) -> None:
    """The same file name in two folders, and paths with spaces or unicode."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.name].append(path)
        inner = path.relative_to(root) if path.is_relative_to(root) else path
        if not str(inner).isascii() or " " in str(inner):
            findings.add(
                "path_characters",
                path,
                f"{path} has spaces or characters beyond ASCII: this program copes, some others do not.",
            )
    for name, found in folders.items():
        if len(found) > 1:
            places = ", ".join(str(path.parent) for path in found[:3])
            findings.add(
                "same_name",
                found[1],
                f"{name} is in {len(found)} folders ({places}): keep their paths when you "
                "copy them together.",
                name,
            )
