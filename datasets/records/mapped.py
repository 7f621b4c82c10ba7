"""Arrays and tables of strings in one memory-mapped file; pickling sends its path, not the data."""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pocketvision.core.files import replacing

_MAGIC = b"pvmap 2\n"
_ALIGNMENT = 64
_BEFORE_HEADER = len(_MAGIC) + 8 + 4
"""Bytes: magic, length of the header, its checksum."""


class MappedArray(np.ndarray[Any, Any]):
    """A read-only array in a file. What is computed from it is an ordinary array in memory."""

    _place: tuple[str, str] | None = None
    """The file and the array's name in it; None for what was computed from such an array."""

    def __array_finalize__(self, parent: Any) -> None:
        self._place = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __reduce__(self) -> Any:
        return super().__reduce__() if self._place is None else (open_array, self._place)


class StringTable(Sequence[str]):
    """N strings as UTF-8 bytes (B,) uint8 and offsets (N + 1,) int64."""

    def __init__(self, characters: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self.characters, self.offsets = characters, offsets

    @classmethod
    def of(cls, strings: Sequence[str]) -> StringTable:
        # File names may hold bytes that are no UTF-8, which Python has as lone surrogates.
        encoded = [string.encode(errors="surrogatepass") for string in strings]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.concatenate(([0], np.cumsum(lengths))))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"string {index} of {len(self)}")
        low, high = int(self.offsets[position]), int(self.offsets[position + 1])
        return self.characters[low:high].tobytes().decode(errors="surrogatepass")

    def __iter__(self) -> Iterator[str]:
        text, ends = self.characters.tobytes(), self.offsets.tolist()
        for low, high in pairwise(ends):
            yield text[low:high].decode(errors="surrogatepass")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StringTable of {len(self)}"


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], about: dict[str, Any]) -> None:
    """Write arrays to one file, with ``about`` (JSON) and checksums of both."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    rows, offset, checksum = {}, 0, 0
    for name, array in plain.items():
        rows[name] = [array.dtype.str, list(array.shape), offset]
        offset += _padded(array.nbytes)
        checksum = zlib.crc32(_bytes(array), checksum)
    facts = {"arrays": rows, "num_bytes": offset, "checksum": checksum, "about": about}
    header = json.dumps(facts).encode()
    start = _padded(_BEFORE_HEADER + len(header))
    numbers = len(header).to_bytes(8, "little") + zlib.crc32(header).to_bytes(4, "little")
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write((_MAGIC + numbers + header).ljust(start, b"\0"))
        for array in plain.values():
            file.write(_bytes(array))
            file.write(bytes(_padded(array.nbytes) - array.nbytes))


def load_arrays(path: Path) -> tuple[dict[str, MappedArray], dict[str, Any]]:
    """The arrays of a file that :func:`save_arrays` wrote, and ``about``.

    Raises:
        OSError: it can't be opened.
        ValueError: it is of another format or version, cut short, or its checksum is wrong.
    """
    facts, start, content = _open(str(path), _stamp(path))
    arrays = {name: open_array(str(path), name) for name in facts["arrays"]}
    checksum = 0
    for array in arrays.values():
        checksum = zlib.crc32(_bytes(array), checksum)
    if len(content) != start + facts["num_bytes"] or checksum != facts["checksum"]:
        raise ValueError(f"{path} is damaged")
    return arrays, facts["about"]


@lru_cache(maxsize=16)
def _open(path: str, stamp: tuple[int, int]) -> tuple[dict[str, Any], int, mmap.mmap]:
    """Header, where the arrays begin, and the mapped file; mapped once for all of its arrays."""
    with Path(path).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + 8], "little")
    if content[: len(_MAGIC)] != _MAGIC or size > len(content):
        raise ValueError(f"{path} is no file of arrays of this version")
    header = content[_BEFORE_HEADER : _BEFORE_HEADER + size]
    if zlib.crc32(header).to_bytes(4, "little") != content[_BEFORE_HEADER - 4 : _BEFORE_HEADER]:
        raise ValueError(f"{path} is damaged")
    return json.loads(header), _padded(_BEFORE_HEADER + size), content


def _stamp(path: str | Path) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_ino


def open_array(path: str, name: str) -> MappedArray:
    """Array ``name`` of a file; what a pickled :class:`MappedArray` becomes."""
    facts, start, content = _open(path, _stamp(path))
    dtype, shape, offset = facts["arrays"][name]
    count = int(np.prod(shape, dtype=np.int64))
    if start + offset + count * np.dtype(dtype).itemsize > len(content):
        raise ValueError(f"{path} is cut short")
    flat = np.frombuffer(content, dtype, count, start + offset)
    array: MappedArray = flat.reshape(shape).view(MappedArray)
    array._place = path, name
    return array


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return memoryview(np.asarray(array).reshape(-1).view(np.uint8).data)


def _padded(num_bytes: int) -> int:
    return -(-num_bytes // _ALIGNMENT) * _ALIGNMENT
