"""How this process gets its memory from the system, and what is said where there is none."""

from __future__ import annotations

import ctypes
import platform

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Let freed memory stay with this process, where its C library is glibc; elsewhere nothing.

    glibc returns every large block to the system and gets fresh pages for the next one, which the
    system zeroes. A training step asks for gigabytes of such blocks, in the same sizes as the one
    before: on a CPU that costs up to half its time (benchmarks/training_step.py).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1))
    libc.mallopt(_M_TOP_PAD, 64 << 20)


def describe_shortage(error: BaseException) -> str | None:
    """The sentence for memory that was asked for and is not there; None for other errors."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return "There is not enough memory for this: take smaller images or batches."
    return None
