"""Images for ``--fix``: good ones are copied, odd ones rewritten as upright 8-bit RGB, bad ones left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.core.structures import Size
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import from_pillow, read_bytes
from pocketvision.doctor.checks.images import SUFFIX_OF, ImageFacts
from pocketvision.doctor.threads import map_in_threads

_KEPT_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")


class FixedImage(NamedTuple):
    """The file to be copied for an image, and its (height, width) as a person sees it."""

    path: str
    size: Size


class _Job(NamedTuple):
    facts: ImageFacts
    target: Path
    is_renamed: bool


def fix_images(
    paths: Iterable[str], facts_of: Mapping[str, ImageFacts], scratch: Path, pixels: PixelFormat = RGB
) -> dict[str, FixedImage]:
    """Source path -> what stands for it; images that can't be read are left out.

    Odd ones are rewritten into ``scratch``, under their names. Where training reads other ``pixels`` than
    RGB, all keep what they have.
    """
    fixed: dict[str, FixedImage] = {}
    jobs: list[_Job] = []
    for number, path in enumerate(dict.fromkeys(paths)):
        facts = facts_of.get(path)
        if facts is None or facts.problem or facts.upright_size is None:
            continue
        is_kept = pixels != RGB and facts.expected_format in ("", facts.format)
        if is_kept or _is_plain(facts):
            fixed[path] = FixedImage(path, facts.upright_size)
        else:
            suffix = SUFFIX_OF.get(facts.format, "") if pixels != RGB else _suffix(facts, path)
            name = Path(path).with_suffix(suffix).name
            jobs.append(_Job(facts, scratch / str(number) / name, pixels != RGB))
    written = map_in_threads(_rewrite, jobs, "rewriting images")
    fixed |= {job.facts.path: new for job, new in zip(jobs, written, strict=True) if new is not None}
    return fixed


def _is_plain(facts: ImageFacts) -> bool:
    is_kept = facts.format in _KEPT_FORMATS and facts.expected_format == facts.format
    return is_kept and facts.mode != "CMYK" and facts.bits <= 8 and facts.orientation == 1


def _suffix(facts: ImageFacts, path: str) -> str:
    if facts.format not in _KEPT_FORMATS:
        return ".png"
    return Path(path).suffix if facts.expected_format == facts.format else SUFFIX_OF[facts.format]


def _rewrite(job: _Job) -> FixedImage | None:
    facts = job.facts
    needs_pixels = (
        facts.mode == "CMYK"
        or facts.bits > 8
        or facts.orientation != 1
        or (facts.format not in _KEPT_FORMATS)
    )
    if job.is_renamed or not needs_pixels:  # only the suffix was wrong
        with replacing(job.target) as temporary:
            temporary.write_bytes(read_bytes(facts.path))
        assert facts.upright_size is not None
        return FixedImage(str(job.target), facts.upright_size)
    try:
        with opened(read_bytes(facts.path), facts.path) as image:
            rgb = Image.fromarray(from_pillow(image, facts.path))
    except InputError:  # a header can be fine and the pixels broken: such an image is dropped
        return None
    kind = "JPEG" if job.target.suffix.lower() in (".jpg", ".jpeg", ".jpe") else "PNG"
    options: dict[str, int] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    with replacing(job.target) as temporary:
        rgb.save(temporary, kind, **options)
    return FixedImage(str(job.target), (rgb.height, rgb.width))
