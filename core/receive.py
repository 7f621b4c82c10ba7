"""The body of an answer over HTTP, within bounds of size and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import IO, Any

from pocketvision.core.progress import Progress

_CHUNK = 1 << 16


class BoundError(OSError):
    """An answer over a bound; ``fact`` is what is said of it: "is larger than 256 MiB"."""

    def __init__(self, fact: str) -> None:
        super().__init__(f"it {fact}")
        self.fact = fact


def receive(
    answer: Any,
    target: IO[bytes],
    max_bytes: int,
    max_seconds: float,
    have: int = 0,
    title: str | None = None,
) -> None:
    """Append the body of ``answer`` to ``target``, which holds ``have`` bytes; ``title`` shows progress.

    Raises:
        BoundError: what is stated or comes is over a bound; what came before stays.
        OSError: the connection broke off.
    """
    stated = (answer.headers.get("Content-Length") or "")[:20]
    total = have + int(stated) if stated.isdecimal() else None
    chunks = _chunks(answer, total, max_bytes, max_seconds, have)
    if title is None:
        for chunk in chunks:
            have += target.write(chunk)
    else:
        megabytes = None if total is None else total / 1e6
        with Progress(title, megabytes, "MB", done=have / 1e6, digits=1) as progress:
            for chunk in chunks:
                have += target.write(chunk)
                progress.advance(len(chunk) / 1e6)
        progress.say(progress.line())
    if total is not None and have < total:
        raise OSError(f"the connection broke off after {have} of {total} bytes; try again")


def _chunks(answer: Any, total: int | None, max_bytes: int, max_seconds: float, have: int) -> Iterator[bytes]:
    """What comes, as long as it is within the bounds."""
    too_large = BoundError(f"is larger than {max_bytes / 2**20:.0f} MiB")
    if (total or 0) > max_bytes:
        raise too_large
    deadline = time.monotonic() + max_seconds
    # read1 gives what has come: read would wait for a whole chunk from a server that sends byte by byte.
    while chunk := answer.read1(_CHUNK):
        have += len(chunk)
        if have > max_bytes:
            raise too_large
        if time.monotonic() > deadline:
            raise BoundError(f"took longer than {max_seconds:g} s")
        yield chunk
