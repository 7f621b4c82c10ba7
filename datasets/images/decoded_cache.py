"""Decoded images in a folder of bounded size that all workers share, and that survives the run."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvision.core.files import process_lives, replacing
from pocketvision.core.structures import Size
from pocketvision.datasets.images.read import Array, Reading

_HEADER = struct.Struct("<8s9qII")
"""Magic, the source's mtime in ns and size in bytes, rows, columns, channels, the image's height and width,
those that the pixels cover, and checksums of the pixels and of what stands before in the header."""
_MAGIC = b"pvpix 2\n"
_PAGE = 4096


@dataclass(frozen=True)
class ImageCache:
    """Up to ``num_bytes`` of decoded pixels, a file an image, mapped into memory when read.

    An entry counts while its source has the same modification time and size, and its own bits are those
    that were written: of any that have flipped the image is decoded again. Entries are written under a
    temporary name and moved, so a killed worker leaves none half-written. Nothing is thrown out while
    training: an epoch reads every image once, for which keeping any fixed part is best.
    """

    folder: Path
    num_bytes: int

    def load(self, path: str, kept_size: Size | None, decode: Callable[[], Reading]) -> Reading:
        """What ``path`` shows, from the cache or from ``decode``.

        ``kept_size`` is part of an entry's name: pixels kept for smaller inputs are of no use here.

        Raises:
            InputError: ``decode`` does.
        """
        try:
            status = Path(path).stat()
        except OSError:
            return decode()  # which says what is wrong with the file
        source = status.st_mtime_ns, status.st_size
        file = self.folder / _name(path, kept_size)
        found = _read(file, source)
        if found is not None:
            return found
        reading = decode()
        self._write(file, reading, source)
        return reading

    def make_room(self, entries: Iterable[tuple[str, Size | None]]) -> int:
        """Bring the folder below its size, for a run that will ``load`` these; returns how many are there.

        Entries of other data sets go first, the oldest before the others, and only as many as these need.
        Called once, before the workers start.
        """
        own = {_name(path, kept_size) for path, kept_size in entries}
        found = sorted(self._entries(own))
        used, present = sum(size for _, _, size, _ in found), sum(is_own for is_own, *_ in found)
        mean = used / len(found) if found else 0.0
        reserved = min(float(self.num_bytes), (len(own) - present) * mean)
        for is_own, _, size, file in found:
            if used <= self.num_bytes - (0.0 if is_own else reserved):
                continue
            file.unlink(missing_ok=True)
            used, present = used - size, present - is_own
        with replacing(self.folder / "used") as temporary:
            temporary.touch()
            os.truncate(temporary, used // _PAGE)
        return present

    def _entries(self, own: set[str]) -> Iterator[tuple[bool, int, int, Path]]:
        """For each: whether it is one of ``own``, when it was written, its size on the disk, and the file."""
        for file in self.folder.glob("??/*"):
            if file.suffix == ".part":
                _remove_if_abandoned(file)
                continue
            try:
                status = file.stat()
            except OSError:
                continue  # another run has just removed it
            is_own = f"{file.parent.name}/{file.name}" in own
            yield is_own, status.st_mtime_ns, _round_up(status.st_size), file

    def _write(self, file: Path, reading: Reading, source: tuple[int, int]) -> None:
        pixels = np.ascontiguousarray(reading.pixels)
        shape = (*pixels.shape[:2], pixels.shape[2] if pixels.ndim == 3 else 0)
        facts = (_MAGIC, *source, *shape, *reading.size, *reading.covers, _checksum(pixels.reshape(-1)))
        header = _HEADER.pack(*facts, zlib.crc32(_HEADER.pack(*facts, 0)))
        try:
            if self._reserve(len(header) + pixels.nbytes):
                with replacing(file) as temporary, temporary.open("wb") as stream:
                    stream.write(header)
                    stream.write(pixels.data)
        except OSError:
            return  # a full or read-only disk costs speed, not the training

    def _reserve(self, num_bytes: int) -> bool:
        """Whether so much more fits. A byte a page is appended to a file whose length is the account:
        appending is atomic, so that workers need no lock; each may overdraw by one image."""
        ledger = self.folder / "used"
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            pages = _round_up(num_bytes) // _PAGE
            if (os.fstat(descriptor).st_size + pages) * _PAGE > self.num_bytes:
                return False
            os.write(descriptor, bytes(pages))
            return True
        finally:
            os.close(descriptor)


def _name(path: str, kept_size: Size | None) -> str:
    place = path if path.startswith("/") else str(Path(path).absolute())
    key = f"{kept_size}/{place}".encode(errors="surrogatepass")
    digest = hashlib.blake2b(key, digest_size=16).hexdigest()
    return f"{digest[:2]}/{digest[2:]}"


def _read(file: Path, source: tuple[int, int]) -> Reading | None:
    """The entry, unless it is missing, belongs to another state of its source, or is damaged."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        length = os.fstat(descriptor).st_size
        if length <= _HEADER.size:
            return None
        content = mmap.mmap(descriptor, length, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    *facts, own = _HEADER.unpack_from(content)
    if facts[0] != _MAGIC or own != zlib.crc32(_HEADER.pack(*facts, 0)) or tuple(facts[1:3]) != source:
        return None
    rows, columns, channels, height, width, covered_height, covered_width, expected = facts[3:]
    shape = (rows, columns, channels) if channels else (rows, columns)
    pixels = np.frombuffer(content, np.uint8, offset=_HEADER.size)
    if len(pixels) != math.prod(shape) or _checksum(pixels) != expected:
        return None
    return Reading(pixels.reshape(shape), (height, width), (covered_height, covered_width))


def _checksum(pixels: Array) -> int:
    """Of flat pixels: the sums of 512 interleaved columns of eight bytes, and CRC-32 of those.

    A CRC of all would take as long as half of a sample; the sums are read as fast as memory is.
    """
    end = len(pixels) // _PAGE * _PAGE
    sums = pixels[:end].view(np.uint64).reshape(-1, _PAGE // 8).sum(axis=0, dtype=np.uint64)
    return zlib.crc32(pixels[end:].data, zlib.crc32(sums.data))


def _remove_if_abandoned(file: Path) -> None:
    """Temporary names end with the process that writes them: ``.NAME.PID.part``."""
    if not process_lives(int(file.suffixes[-2][1:])):
        file.unlink(missing_ok=True)


def _round_up(num_bytes: int) -> int:
    return -(-num_bytes // _PAGE) * _PAGE
