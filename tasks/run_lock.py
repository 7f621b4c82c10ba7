"""One process at a time trains into a run folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pocketvision.core.errors import InputError

LOCK = ".lock"


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Keep other processes from training into ``folder`` meanwhile.

    The lock is the system's: a process that was killed holds none, nor do those that it forked. Where there
    are no locks, as on some network drives and on Windows, nobody is kept.

    Raises:
        InputError: another process trains there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            with os.fdopen(file, errors="replace") as text:
                owner = text.read(200).strip() or "another process"
            raise InputError(
                f"{folder} is being trained by {owner}: wait for it or stop it, or copy the folder."
            ) from None
        except OSError:
            break
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file)):
                break
        os.close(file)  # its owner has just removed it
    try:
        os.truncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)
