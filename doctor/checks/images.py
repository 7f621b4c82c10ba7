"""What an image file is, by its own bytes: size, format, bits, rotation, and whether it is whole."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.images.read import read_image

Thumbnail = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000")
"""What is opened at all: Pillow's rarer readers run other programs or ask for gigabytes."""

SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif"}
_FORMAT_OF = {".jpeg": "JPEG", ".jpe": "JPEG", ".tiff": "TIFF", **{s: name for name, s in SUFFIX_OF.items()}}
_ORIENTATION = 0x0112
_HEAD, _TAIL = 1 << 16, 64
_END = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_THUMBNAIL = (18, 16)
_BEGINNINGS = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"\x89PNG", "a PNG"),
    (b"<", "a web page or XML"),
    (b"{", "JSON"),
    (b"%PDF", "a PDF"),
    (b"PK", "a zip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
)


class ImageFacts(NamedTuple):
    """What is known of an image file.

    ``size`` is (height, width) as stored, before EXIF's ``orientation`` (1 is upright) turns it, or None
    where it can't be read; ``problem`` is a kind of finding, or empty, and ``detail`` says more.
    ``thumbnail`` is (16, 18) uint8 grey, made where it was asked for.
    """

    path: str
    num_bytes: int
    size: Size | None = None
    format: str = ""
    mode: str = ""
    bits: int = 8
    orientation: int = 1
    problem: str = ""
    detail: str = ""
    thumbnail: Thumbnail | None = None

    @property
    def upright_size(self) -> Size | None:
        """(height, width) after EXIF's rotation."""
        return self.size[::-1] if self.size is not None and self.orientation >= 5 else self.size

    @property
    def expected_format(self) -> str:
        """The format that the suffix promises; empty for a suffix that is none of an image."""
        return _FORMAT_OF.get(Path(self.path).suffix.lower(), "")


def inspect_image(path: str, *, pixels: bool, thumbnail: bool) -> ImageFacts:
    """Facts of an image file; never raises.

    The header is always read, and the end where the format marks it. ``thumbnail`` decodes at a
    reduced scale, ``pixels`` decodes everything as training does.
    """
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return ImageFacts(path, 0, problem="image_unreadable", detail="it is no regular file")
        if not status.st_size:
            return ImageFacts(path, 0, problem="image_empty")
        data = _read(path, whole=pixels or thumbnail)
    except OSError as error:
        return ImageFacts(path, 0, problem="image_unreadable", detail=error.strerror or str(error))
    facts = _header(path, status.st_size, data)
    if facts.problem:
        return facts
    if not _has_end(path, facts.format) or thumbnail:
        facts = _decode(facts, data if thumbnail or pixels else Path(path).read_bytes(), thumbnail)
    return _decode_as_training(facts) if pixels and not facts.problem else facts


def _read(path: str, *, whole: bool) -> bytes:
    with Path(path).open("rb") as file:
        return file.read() if whole else file.read(_HEAD)


def _header(path: str, num_bytes: int, data: bytes) -> ImageFacts:
    for content in (data, None):
        try:
            source = io.BytesIO(content) if content is not None else path
            with Image.open(source, formats=FORMATS) as image:
                name = "JPEG" if image.format == "MPO" else str(image.format)
                size = image.height, image.width
                bits = _bits(data, image.mode)
                # Asked for EXIF, Pillow decodes a whole PNG unless it knows that there is some.
                turned = 1 if name == "PNG" and b"eXIf" not in data else _orientation(image)
                return ImageFacts(path, num_bytes, size, name, image.mode, bits, turned)
        except Exception as error:  # Pillow's plugins raise whatever a broken header leads them to
            problem, failure = _why(data, num_bytes), error
        if len(data) == num_bytes:
            break  # all of the file was there
    detail = _begins_like(data) or str(failure)
    return ImageFacts(path, num_bytes, problem=problem, detail=detail)


def _why(data: bytes, num_bytes: int) -> str:
    """A file that begins as an image and is shorter than any header was cut off."""
    is_image = data.startswith((b"\xff\xd8", b"\x89PNG"))
    return "image_truncated" if is_image and len(data) == num_bytes else "image_unreadable"


def _begins_like(data: bytes) -> str:
    return next((f"it begins like {name}" for start, name in _BEGINNINGS if data.startswith(start)), "")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken EXIF is as good as none
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _bits(data: bytes, mode: str) -> int:
    """Bits a channel. Pillow hides the 16 bits of colour PNGs, so their header is read here."""
    if data.startswith(b"\x89PNG") and len(data) > 24:
        return data[24]
    return 16 if mode.startswith("I") or mode == "F" else 8


def _has_end(path: str, name: str) -> bool:
    end = _END.get(name)
    if end is None:
        return True
    with Path(path).open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return end in file.read()


def _decode(facts: ImageFacts, data: bytes, thumbnail: bool) -> ImageFacts:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft("L", (64, 64))  # JPEG: decoded at an eighth, if that is large enough
            image.load()
            return facts._replace(thumbnail=_shrink(image)) if thumbnail else facts
    except Exception as error:  # as above
        cut = "truncated" in str(error) or not _has_end(facts.path, facts.format)
        return facts._replace(
            problem="image_truncated" if cut else "image_unreadable", detail=str(error) or "broken data"
        )


def _shrink(image: Image.Image) -> Thumbnail:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        top = max(float(values.max()), 255.0)
        image = Image.fromarray((values.clip(0) * (255 / top)).astype(np.uint8))
    return np.asarray(image.convert("L").resize(_THUMBNAIL, Image.Resampling.BOX))


def _decode_as_training(facts: ImageFacts) -> ImageFacts:
    try:
        read_image(facts.path)
    except InputError as error:
        cut = "truncated" in str(error)
        return facts._replace(problem="image_truncated" if cut else "image_unreadable", detail=str(error))
    return facts
