"""What an image file is, by its own bytes: size, format, bits, rotation, and whether it is whole."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.core.structures import Size
from pocketvision.datasets.images.array_files import beyond_pillow
from pocketvision.datasets.images.bands import read_pixels, read_values
from pocketvision.datasets.images.header import file_header, has_end, open_file, opened, read_header
from pocketvision.datasets.images.likeness import Thumbnail, shrink
from pocketvision.datasets.images.read import read_bytes
from pocketvision.doctor.checks.pixels import takes

SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif",
             "NPY": ".npy"}  # fmt: skip
_FORMAT_OF = {".jpeg": "JPEG", ".jpe": "JPEG", ".tiff": "TIFF", **{s: name for name, s in SUFFIX_OF.items()}}
_HEAD, _TAIL = 1 << 16, 64
_CHANNELS = " channels"
_MODES = {"1": 1, "L": 1, "I;16": 1, "I": 1, "F": 1, "LA": 2, "RGB": 3, "CMYK": 3, "YCbCr": 3, "RGBA": 4}
"""Pillow's modes -> channels as training reads them."""
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
    ``thumbnail`` is (16, 18) uint8 gray, made where it was asked for.
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
    def is_array(self) -> bool:
        """Whether only models of other channels than RGB can read it."""
        return self.mode.endswith(_CHANNELS)

    @property
    def channels(self) -> int | None:
        """How many it has; None where the header does not tell, as of a TIFF with pages."""
        if self.is_array:
            return int(self.mode.removesuffix(_CHANNELS))
        return None if self.format == "TIFF" else _MODES.get(self.mode)

    @property
    def upright_size(self) -> Size | None:
        """(height, width) after EXIF's rotation."""
        return self.size[::-1] if self.size is not None and self.orientation >= 5 else self.size

    @property
    def expected_format(self) -> str:
        """The format that the suffix promises; empty for a suffix that is none of an image."""
        return _FORMAT_OF.get(Path(self.path).suffix.lower(), "")


def inspect_image(
    path: str, *, pixels: bool, thumbnail: bool, read_as: PixelFormat | None = RGB
) -> ImageFacts:
    """Facts of an image file; never raises.

    The header is always read, and the end where the format marks it. ``thumbnail`` decodes at a
    reduced scale, ``pixels`` decodes everything as training does, which is ``read_as``, if that is known.
    """
    facts = _inspect(path, read_as, pixels=pixels, thumbnail=thumbnail)
    if facts.problem or read_as is None or takes(read_as, facts.channels):
        return facts
    channels = f"{facts.channels}{_CHANNELS}".replace("1 channels", "1 channel")
    return facts._replace(
        problem="image_channels", detail=f"{channels}, and training takes {read_as.channels}"
    )


def _inspect(path: str, read_as: PixelFormat | None, *, pixels: bool, thumbnail: bool) -> ImageFacts:
    if not (pixels or thumbnail) and (facts := _of_plain(path)) is not None:
        return facts
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
    if facts.is_array:
        return _decode_as_training(facts, read_as) if pixels else facts
    if not _is_whole(path) or thumbnail:
        facts = _decode(facts, data if thumbnail or pixels else Path(path).read_bytes(), thumbnail)
    return _decode_as_training(facts, read_as) if pixels and not facts.problem else facts


def _of_plain(path: str) -> ImageFacts | None:
    """Facts of a whole 8-bit JPEG or PNG by its ends alone; None for anything else, which takes longer."""
    try:
        with open_file(path) as file:
            status = os.fstat(file.fileno())
            start = file.read(_HEAD) if stat.S_ISREG(status.st_mode) else b""
            if len(start) < status.st_size:
                file.seek(max(len(start), status.st_size - _TAIL))
            tail = start[-_TAIL:] if len(start) == status.st_size else file.read()
        header = read_header(start, path) if len(start) == status.st_size else file_header(path)
    except (OSError, InputError):
        return None
    if not (header.is_plain and header.mode and has_end(start[:16] + tail)):
        return None
    return ImageFacts(
        path, status.st_size, header.size, header.format, header.mode, orientation=header.orientation
    )


def _read(path: str, *, whole: bool) -> bytes:
    with Path(path).open("rb") as file:
        return file.read() if whole else file.read(_HEAD)


def _header(path: str, num_bytes: int, data: bytes) -> ImageFacts:
    try:
        header = file_header(path)
        if header.format in ("TIFF", "NPY") and (stated := beyond_pillow(read_bytes(path), path)) is not None:
            mode = f"{stated.channels}{_CHANNELS}"
            return ImageFacts(
                path, num_bytes, header.size, stated.format, mode, stated.bits, stated.orientation
            )
        with opened(data if len(data) == num_bytes else read_bytes(path), path) as image:
            bits = _bits(data, image.mode)
            return ImageFacts(
                path, num_bytes, header.size, header.format, image.mode, bits, header.orientation
            )
    except InputError as error:
        return ImageFacts(path, num_bytes, problem=_why(data, num_bytes), detail=_detail(data, path, error))


def _detail(data: bytes, path: str, error: InputError) -> str:
    """What the file begins like, or else says the sentence without its beginning."""
    return _begins_like(data) or str(error).removeprefix(path).strip().partition(": ")[0]


def _why(data: bytes, num_bytes: int) -> str:
    """A file that begins as an image and is shorter than any header was cut off."""
    is_image = data.startswith((b"\xff\xd8", b"\x89PNG"))
    return "image_truncated" if is_image and len(data) == num_bytes else "image_unreadable"


def _is_whole(path: str) -> bool:
    with Path(path).open("rb") as file:
        start = file.read(16)
        file.seek(max(0, file.seek(0, io.SEEK_END) - 64))
        return has_end(start + file.read())


def _begins_like(data: bytes) -> str:
    return next((f"it begins like {name}" for start, name in _BEGINNINGS if data.startswith(start)), "")


def _bits(data: bytes, mode: str) -> int:
    """Bits a channel. Pillow hides the 16 bits of color PNGs, so their header is read here."""
    if data.startswith(b"\x89PNG") and len(data) > 24:
        return data[24]
    return 16 if mode.startswith("I") or mode == "F" else 8


def _decode(facts: ImageFacts, data: bytes, thumbnail: bool) -> ImageFacts:
    try:
        with opened(data, facts.path) as image:
            image.draft("L", (64, 64))  # JPEG: decoded at an eighth, if that is large enough
            image.load()
            return facts._replace(thumbnail=shrink(image)) if thumbnail else facts
    except InputError as error:
        return _broken(facts, error)


def _decode_as_training(facts: ImageFacts, read_as: PixelFormat | None) -> ImageFacts:
    if read_as is not None and not takes(read_as, facts.channels):
        return facts  # which is told by itself
    try:
        if read_as is None and facts.is_array:
            read_values(read_bytes(facts.path), facts.path)
        else:
            read_pixels(facts.path, read_as or RGB)
    except InputError as error:
        return _broken(facts, error)
    return facts


def _broken(facts: ImageFacts, error: InputError) -> ImageFacts:
    problem = "image_truncated" if "truncated" in str(error) else "image_unreadable"
    return facts._replace(problem=problem, detail=_detail(b"", facts.path, error))
