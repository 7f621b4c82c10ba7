"""Text files in whatever encoding people's tools write: UTF-8, UTF-16, or a legacy one that is said so."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.header import open_file
from pocketvision.datasets.records.kinds import TEXT_ENCODING
from pocketvision.datasets.records.notes import Notes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = ("gb18030", "cp1252")
"""GB18030 holds GBK and GB2312; Western Windows text is hardly ever valid in it."""
MAX_BYTES = 1 << 31


def read_bytes(file: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it is missing, can't be read, or has more than 2 GiB.
    """
    try:
        with open_file(file) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{file} is no file (a pipe or device): replace it by a file.")
            if status.st_size > MAX_BYTES:
                raise InputError(f"{file} has more than {MAX_BYTES >> 30} GiB: split it in parts.")
            return stream.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read ({reason}): check the file.") from None


def read_text(file: Path, notes: Notes | None = None) -> str:
    """The text of a file; another encoding than UTF-8 or UTF-16 is guessed where ``notes`` can tell it.

    Raises:
        InputError: it is missing, or no text.
    """
    data = read_bytes(file)
    text = decode(data)
    if text is not None:
        return text
    guessed = next(guess_text(data), None)
    if notes is None or guessed is None:
        raise InputError(f"{file} is no UTF-8 text: save it as UTF-8, or replace it.")
    encoding, text = guessed
    notes.add(TEXT_ENCODING, file, f"{file} is no UTF-8, and was read as {encoding}: save it as UTF-8.")
    return text


def read_lines(file: Path, notes: Notes | None = None) -> list[str]:
    """The lines that are not empty, stripped.

    Raises:
        InputError: as :func:`read_text`.
    """
    return [line.strip() for line in read_text(file, notes).splitlines() if line.strip()]


def decode(data: bytes) -> str | None:
    """UTF-8 or what a byte order mark says; UTF-16 without one by its zero bytes; None if it is neither."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return None
    if len(data) >= 4 and len(data) % 2 == 0 and b"\0" in data[:4]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def guess_text(data: bytes, encodings: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Encodings that the bytes are valid in, and texts: UTF-8 or UTF-16, those named, then legacy ones."""
    text = decode(data)
    if text is not None:
        yield "utf-8", text
    for encoding in (*encodings, *(() if b"\0" in data else _LEGACY)):
        try:
            yield encoding, data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
