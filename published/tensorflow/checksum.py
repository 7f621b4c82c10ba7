"""CRC-32C, with which TensorFlow checks its checkpoints, fast in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_Words = npt.NDArray[np.uint32]


def _table() -> _Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """CRC-32C as TensorFlow stores it (tensorflow/core/lib/hash/crc32c.h): rotated, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes, num_lanes: int = 1024) -> int:
    """CRC-32C of ``data``. Long data is cut into lanes that run side by side and are joined after."""
    length = len(data) // num_lanes
    crc = np.uint32(0xFFFFFFFF)
    if length:
        lanes = np.frombuffer(data, np.uint8, count=length * num_lanes).reshape(num_lanes, length)
        remainders = _advance(np.zeros(num_lanes, np.uint32), lanes.T)
        # Moving a register past `length` zeros is linear: a table for each of its four bytes.
        zeros = np.zeros((length, 1), np.uint8)
        moved = [_advance(np.arange(256, dtype=np.uint32) << np.uint32(8 * i), zeros) for i in range(4)]
        for remainder in remainders:
            crc = (
                moved[0][crc & 255]
                ^ moved[1][crc >> 8 & 255]
                ^ moved[2][crc >> 16 & 255]
                ^ moved[3][crc >> 24]
            )
            crc ^= remainder
    register = int(crc)
    for byte in data[length * num_lanes :]:
        register = int(_TABLE[(register ^ byte) & 255]) ^ register >> 8
    return register ^ 0xFFFFFFFF


def _advance(registers: _Words, steps: npt.NDArray[np.uint8]) -> _Words:
    """Feed one row of ``steps`` (steps, 1 or lanes) after another to the ``registers``."""
    for row in steps:
        registers = _TABLE[(registers ^ row) & 255] ^ registers >> np.uint32(8)
    return registers
