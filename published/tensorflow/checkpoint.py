"""TensorFlow's checkpoints (.index + .data-00000-of-0000N) -> arrays by name, without TensorFlow.

The index is a LevelDB table (github.com/google/leveldb, doc/table_format.md) of BundleEntryProto
messages (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.published.tensorflow.checksum import masked_crc32c

_MAGIC = 0xDB4775248B80FB57
_FOOTER, _TRAILER = 48, 5
_SNAPPY = 1
# tensorflow/core/framework/types.proto; other types (text, variants) are no weights and are left out.
_TYPES: dict[int, Any] = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 6: np.int8, 9: np.int64, 10: np.bool_,
    19: np.float16,
}  # fmt: skip


class _Entry(NamedTuple):
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    is_sliced: bool


def read_checkpoint(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Numeric variables of a checkpoint by name; ``path`` is its .index file.

    Raises:
        InputError: a file is missing, broken (sizes and checksums are verified) or of a kind that
            TensorFlow's savers do not write.
    """
    if not path.is_file():
        raise InputError(f"There is no checkpoint index {path}: check the path.")
    try:
        entries = dict(_table_entries(path.read_bytes()))
        header = _fields(entries.pop(b"", b""))
        num_shards = int(header.get(1, [1])[0])
        if header.get(2, [0])[0]:
            raise ValueError("big-endian")
        variables = {name.decode(): _entry(value) for name, value in entries.items()}
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise InputError(
            f"{path} is no TensorFlow checkpoint index or is broken ({error}): download or copy it again."
        ) from error
    shards: dict[int, npt.NDArray[np.uint8]] = {}
    arrays = {}
    for name, entry in variables.items():
        if entry.dtype in _TYPES:
            if entry.shard not in shards:
                shards[entry.shard] = _shard(path, entry.shard, num_shards)
            arrays[name] = _array(path, name, entry, shards[entry.shard])
    return arrays


def _shard(index: Path, shard: int, num_shards: int) -> npt.NDArray[np.uint8]:
    path = index.with_name(f"{index.stem}.data-{shard:05}-of-{num_shards:05}")
    if not path.is_file():
        raise InputError(f"{index} needs {path.name} beside it: copy all files of the checkpoint.")
    return np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)


def _array(path: Path, name: str, entry: _Entry, shard: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    if entry.is_sliced:
        raise InputError(f"{path} holds {name} in slices, which is not supported: save it in one piece.")
    dtype = np.dtype(_TYPES[entry.dtype])
    end = entry.offset + entry.size
    if (
        min(entry.shape, default=0) < 0
        or math.prod(entry.shape) * dtype.itemsize != entry.size
        or end > len(shard)
    ):
        raise InputError(
            f"{path} does not fit its data file: {name} of shape {entry.shape} should be bytes "
            f"{entry.offset} to {end} of {len(shard)}. Download or copy the checkpoint again."
        )
    data = shard[entry.offset : end].tobytes()
    if masked_crc32c(data) != entry.crc:
        raise InputError(f"{path}: the checksum of {name} is wrong. Download or copy the checkpoint again.")
    return np.frombuffer(data, dtype).reshape(entry.shape)


def _table_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of everything in a LevelDB table, in order of keys."""
    if len(data) < _FOOTER or struct.unpack_from("<Q", data, len(data) - 8)[0] != _MAGIC:
        raise ValueError("the end of the file is missing")
    position = len(data) - _FOOTER
    for _ in range(2):  # the handle of the meta index, which is empty
        _, position = _varint(data, position)
    for _, handle in _block(data, position):
        yield from _block(handle, 0, data)


def _block(source: bytes, position: int, data: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Entries of the block at the handle that stands at ``position`` of ``source``."""
    data = source if data is None else data
    offset, position = _varint(source, position)
    size, _ = _varint(source, position)
    block = data[offset : offset + size]
    kind, crc = struct.unpack_from("<BI", data, offset + size)
    if kind == _SNAPPY:
        raise ValueError("its index is compressed, which TensorFlow's savers never do")
    if kind or masked_crc32c(data[offset : offset + size + 1]) != crc:
        raise ValueError("a checksum is wrong")
    num_restarts = struct.unpack_from("<I", block, len(block) - 4)[0]
    end = len(block) - 4 * (num_restarts + 1)
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        own, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + own]
        yield key, block[position + own : position + own + length]
        position += own + length


def _entry(message: bytes) -> _Entry:
    """Parse a BundleEntryProto."""
    fields = _fields(message)

    def number(field: int) -> int:
        return int(fields.get(field, [0])[-1])

    dims = [_fields(dim) for shape in fields.get(2, []) for dim in _fields(shape).get(2, [])]
    shape = tuple(int(dim.get(1, [0])[-1]) for dim in dims)
    return _Entry(number(1), shape, number(3), number(4), number(5), number(6), 7 in fields)


def _fields(message: bytes) -> dict[int, list[Any]]:
    """Field number -> values of a protobuf message: int, or bytes where a length comes first."""
    fields: dict[int, list[Any]] = {}
    position = 0
    value: int | bytes
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        elif kind == 2:
            length, position = _varint(message, position)
            value, position = message[position : position + length], position + length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value = int.from_bytes(message[position : position + length], "little")
            position += length
        else:
            raise ValueError(f"a message has the field type {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number is too long")
