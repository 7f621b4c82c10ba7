"""Names of files that are new: no two results share one, and nothing that was there is written over."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path

from pocketvision.core.errors import InputError


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


def check_new(path: Path, option: str) -> None:
    """Refuse a file that is there: it may be an input, or somebody's own.

    Raises:
        InputError: there is something at ``path``, if only a link.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} exists already: choose another {option}, or move it away.")


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
