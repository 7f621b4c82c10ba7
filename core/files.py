"""Files are written to a temporary name and moved, and new ones take the place of none that is there."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError

_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_TEMPORARY = re.compile(r"\.([0-9a-f]{8})[0-9a-f]{24}\.(\d+)\.part(\.\w+)?")
_MAX_AGE_S = 7 * 24 * 3600
_tidied: set[Path] = set()
"""Folders in which this process has looked for what killed ones left."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to; it becomes ``path`` if nothing failed.

    A link at ``path`` is replaced, what it leads to stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(path: Path, suffix: str = "") -> Path:
    """A new name in the folder of ``path``, which nobody could have put a link at.

    What killed processes left there under such names is removed first.
    """
    folder = path.parent
    if folder not in _tidied:
        _tidied.add(folder)
        remove_abandoned(folder)
    return folder / f".{_HOST}{secrets.token_hex(12)}.{os.getpid()}.part{suffix}"


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files in ``folder`` whose process has ended on this machine, and week-old ones."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found is None:
                continue
            is_over = found[1] == _HOST and not process_lives(int(found[2]))
            if is_over or time.time() - entry.stat(follow_symlinks=False).st_mtime > _MAX_AGE_S:
                with suppress(OSError):
                    Path(entry.path).unlink()


def process_lives(process: int) -> bool:
    """Whether there is a process of this id on this machine; on Windows, where asking would end it, yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: it can't be read, or is no JSON: not even where its numbers have thousands of digits or
            its lists lie thousands deep in each other.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} can't be read ({error.strerror}): check the path and its rights."
        ) from error
    except (ValueError, RecursionError) as error:  # numbers of too many digits are ValueErrors
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is no JSON that can be read ({reason}): bring back what was there."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def unique_names(things: Iterable[tuple[str, str]]) -> list[str]:
    """A name for each thing of (stem, folder): its stem, else with the folder in front, else with a number.

    No two are the same, not even where upper and lower case are.
    """
    taken: set[str] = set()
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    names = []
    for stem, folder in things:
        longer = f"{folder}_{stem}" if folder else stem
        numbered = (f"{stem}_{number}" for number in numbers[stem.casefold()])
        name = next(name for name in chain((stem, longer), numbered) if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def check_new(path: Path | None, option: str) -> None:
    """Refuse a file that is there: it may be an input, or somebody's own.

    Raises:
        InputError: there is something at ``path``, if only a link; or it is -, as of standard output.
    """
    if path is None:
        return
    if path == Path("-"):
        raise InputError(f"{option} - is no file: give a name.")
    if os.path.lexists(path):
        raise InputError(f"{path} exists already: choose another {option}, or move it away.")


def check_empty(folder: Path, option: str) -> None:
    """Refuse an output folder that has something in it: nothing that is there is written over.

    Raises:
        InputError: it has, or is no folder.
    """
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already: choose another {option}, or move it away.")


def free_path(path: Path, *, also: Iterable[str] = ()) -> Path:
    """``path``, or the first of NAME_2, NAME_3 ... at which nothing is, not even a link.

    Args:
        also: suffixes under which the name has to be free too.
    """
    numbered = (path.with_stem(f"{path.stem}_{number}") for number in count(2))
    suffixes = (path.suffix, *also)

    def is_free(candidate: Path) -> bool:
        return not any(os.path.lexists(candidate.with_suffix(suffix)) for suffix in suffixes)

    return next(candidate for candidate in chain([path], numbered) if is_free(candidate))
