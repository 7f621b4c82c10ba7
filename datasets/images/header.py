"""What an image file says of itself before anything is decoded: format, size, orientation, kind of pixels."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, features

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets.images.array_files import beyond_pillow
from pocketvision.datasets.images.orientation import orientation_of, turned_size

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is opened at all: Pillow's rarer readers run other programs or ask for gigabytes."""

MAX_PIXELS = 1 << 28
"""Of a picture that is decoded: 16,384 squared, 0.8 GB in memory. Files of a few kB can state any size."""

REMEDY = "replace the file, or remove it"

_BEGINNING, _HEAD = 1 << 12, 1 << 16
"""What is read of a file at first, and where the facts of a PNG lie: within so much of its ends."""
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_ENDS, _TAIL = ((_JPEG[:2], b"\xff\xd9"), (_PNG, b"IEND")), 64
_NO_SIZE = (0xC4, 0xC8, 0xCC)
_OPAQUE = (0, 2, 3)
"""PNG's color types without alpha: gray, RGB and palette."""
_MAKES_SPECIAL = (b"tRNS", b"acTL")
_MAY_TURN = (b"eXIf", b"Raw profile type exif", b"tiff:Orientation")
"""Where a PNG may say how to turn it."""
_BEGINNINGS = (
    (b"%!PS", "PostScript"),
    (b"%PDF", "a PDF"),
    (b"8BPS", "a Photoshop file"),
    (b"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (b"PK", "a zip archive"),
    (b"<", "a web page, SVG or XML"),
    (b"{", "JSON"),
)
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")


class Header(NamedTuple):
    """What a file says.

    ``size`` is (height, width) as stored, before ``orientation`` turns it; ``is_plain`` tells that OpenCV
    alone decodes it to what a person sees: 8 bits, opaque, gray or RGB. ``mode`` is Pillow's, if it is known.
    """

    format: str
    size: Size
    orientation: int = 1
    is_plain: bool = False
    mode: str = ""

    @property
    def upright_size(self) -> Size:
        """(height, width) as a person sees it."""
        return turned_size(self.size, self.orientation)


def file_header(path: str | Path) -> Header:
    """The header of a file, of which only the ends are read where its format allows that.

    Raises:
        InputError: it is missing, no image that is known, or larger than MAX_PIXELS.
    """
    name = str(path)
    try:
        with open_file(path) as file:
            data = file.read(_BEGINNING)
            found = _of_jpeg(data, name, is_whole=False)
            if found is None and len(data) == _BEGINNING:
                data += _rest(file, data)
                found = _of_jpeg(data, name, is_whole=False)
    except OSError as error:
        raise cannot_open(name, error) from None
    if found is None:
        return read_header(data, name)
    _check_size(found.size, name)
    return found


def open_file(path: str | Path) -> io.FileIO:
    """A file to read from; a named pipe is an empty one, instead of waiting for somebody to write to it.

    Raises:
        OSError: it can't be opened.
    """
    try:
        return open(path, "rb", buffering=0, opener=_without_waiting)
    except ValueError as error:  # a zero byte in its name
        raise OSError(f"its name has an {error}") from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _rest(file: io.FileIO, head: bytes) -> bytes:
    """What a header may need beyond ``head``: of a PNG only its ends, unless the last says how to turn it."""
    if not head.startswith(_PNG):
        return file.read()
    more = file.read(_HEAD - len(head))
    if b"IDAT" not in head + more:
        return more + file.read()
    place = file.tell()
    file.seek(max(place, file.seek(0, io.SEEK_END) - _HEAD))
    tail = file.read()
    if not any(mark in tail for mark in _MAY_TURN):
        return more + tail
    file.seek(place)
    return more + file.read()


def read_header(data: bytes, name: str) -> Header:
    """The header of an image file's bytes; sentences about it say ``name``.

    Raises:
        InputError: it is no image that is known, or larger than MAX_PIXELS.
    """
    if not data:
        raise InputError(f"{name} is empty: {REMEDY}.")
    header = _of_jpeg(data, name, is_whole=True) or _of_png(data, name) or _by_pillow(data, name)
    _check_size(header.size, name)
    return header


def _check_size(size: Size, name: str) -> None:
    height, width = size
    if not height or not width:
        raise InputError(f"{name} cannot be read as an image (it has no pixels): {REMEDY}.")
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}x{height} pixels, {height * width / 1e6:.0f} million, and at most "
            f"{MAX_PIXELS / 1e6:.0f} million are decoded: make it smaller, or cut it in parts."
        )


def cannot_open(name: str, error: OSError) -> InputError:
    """The sentence for a file that the system does not give."""
    reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
    return InputError(f"{name} cannot be opened ({reason}): check the path.")


@contextmanager
def opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """An image file's bytes, opened by Pillow; whatever it raises, also in the ``with`` block, is a sentence.

    Raises:
        InputError: the file can't be read.
    """
    try:
        with _without_pillows_limit(), Image.open(io.BytesIO(data), formats=_available()) as image:
            _check_size((image.height, image.width), name)
            yield image
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into the memory: make it smaller.") from None
    except Exception as error:  # Pillow's plugins raise whatever a broken file leads them to
        raise InputError(why_unreadable(data, name, error)) from None


def has_end(data: bytes) -> bool:
    """Whether the bytes of a JPEG or PNG file end as whole ones do; others don't tell."""
    end = next((end for start, end in _ENDS if data.startswith(start)), b"")
    return end in data[-_TAIL:]


def fits_chunks(data: bytes) -> bool:
    """Whether every chunk of a PNG up to its end lies within ``data``; other files have none.

    OpenCV sets memory aside for whatever length a chunk states, and takes seconds and gigabytes for it.
    """
    place = len(_PNG)
    while data.startswith(_PNG) and data[place + 4 : place + 8] != b"IEND":
        place += 12 + _number(data, place, 4)
        if place + 12 > len(data):
            return False
    return True


def why_unreadable(data: bytes, name: str, error: Exception | None = None) -> str:
    """The sentence for bytes that OpenCV or, with ``error``, Pillow refused."""
    if (
        "truncated" in (message := str(error).lower())
        or "broken" in message
        or not (has_end(data) and fits_chunks(data))
    ):
        return f"{name} is truncated or broken: {REMEDY}."
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return f"{name} is a HEIC picture, which is not read: convert it to JPEG."
    if data[4:8] == b"ftyp" and data[8:12] in _AVIF and "AVIF" not in _available():
        return f"{name} is an AVIF picture, which needs Pillow 11.3 or later: pip install -U pillow."
    found = next((f" (it begins like {kind})" for start, kind in _BEGINNINGS if data.startswith(start)), "")
    return f"{name} cannot be read as an image{found}: {REMEDY}."


@cache
def _available() -> tuple[str, ...]:
    """Of FORMATS what this Pillow knows: older ones have no AVIF."""
    Image.init()
    return tuple(n for n in FORMATS if n in Image.OPEN and (n != "AVIF" or features.check("avif")))


_lock = threading.Lock()
_limit: list[int | None] = []
"""Pillow's own limit while it is lifted, once for each who lifted it."""


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Ours is checked by the header. Pillow's warns from 89 million pixels on and has one place a process."""
    with _lock:
        _limit.append(Image.MAX_IMAGE_PIXELS if not _limit else _limit[0])
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            before = _limit.pop()
            if not _limit:
                Image.MAX_IMAGE_PIXELS = before


def _by_pillow(data: bytes, name: str) -> Header:
    if stated := beyond_pillow(data, name):
        return Header(stated.format, stated.size, stated.orientation)
    with opened(data, name) as image:
        size = image.height, image.width
        if image.format == "TIFF" and (tags := getattr(image, "tag_v2", None)):
            size = int(tags[257]), int(tags[256])  # some versions of Pillow give the upright size
        return Header(str(image.format), size, orientation_of(image))


def _of_jpeg(data: bytes, name: str, *, is_whole: bool) -> Header | None:
    """None where it is no JPEG, or what is asked lies beyond ``data``."""
    if not data.startswith(_JPEG):
        return None
    place, end, may_turn = 2, len(data) - 9, False
    while place < end:
        if data[place] != 0xFF:
            place += 1
            continue
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            place += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            size = _number(data, place + 5), _number(data, place + 7)
            is_plain = data[place + 4] == 8 and data[place + 9] in (1, 3)
            orientation = _orientation(data, name) if may_turn else 1
            if orientation is None and not is_whole:
                return None
            mode = ("L" if data[place + 9] == 1 else "RGB") if is_plain else ""
            return Header("JPEG", size, orientation or 1, is_plain, mode)
        elif marker in (0xD9, 0xDA):
            return None
        else:
            may_turn = may_turn or marker == 0xE1
            place += 2 + _number(data, place + 2)
    return None


def _number(data: bytes, place: int, num_bytes: int = 2) -> int:
    return int.from_bytes(data[place : place + num_bytes], "big")


def _of_png(data: bytes, name: str) -> Header | None:
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or len(data) < 26:
        return None
    size = _number(data, 20, 4), _number(data, 16, 4)
    before = data[: max(26, data.find(b"IDAT"))]
    is_plain = data[24] <= 8 and data[25] in _OPAQUE and not any(chunk in before for chunk in _MAKES_SPECIAL)
    may_turn = any(mark in part for mark in _MAY_TURN for part in (data[:_HEAD], data[_HEAD:][-_HEAD:]))
    mode = {0: "L", 2: "RGB", 3: "P"}.get(data[25], "") if data[24] == 8 else ""
    return Header("PNG", size, (may_turn and _orientation(data, name)) or 1, is_plain, mode)


def _orientation(data: bytes, name: str) -> int | None:
    """As Pillow finds it, which also looks where others kept it before EXIF had a place in PNG.

    None where ``data`` is no whole header.
    """
    try:
        with opened(data, name) as image:
            return orientation_of(image)
    except InputError:
        return None
