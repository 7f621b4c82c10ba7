"""Formats of one file for many images, and of one for each: which files they are, by how they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.splits import ALL, one_of_each, split_of

_PEEK, _SAMPLE, _MANY = 1 << 16, 5, 40


def head(file: Path) -> bytes:
    """The beginning of a file; empty where it can't be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(_PEEK).replace(b"\0", b"")
    except OSError:
        return b""


def files_of_splits(
    tree: FileTree, suffixes: tuple[str, ...], is_own: Callable[[bytes], bool]
) -> dict[str, Path]:
    """Split -> the file of it, near the root; ``is_own`` looks at the beginning.

    Raises:
        InputError: several files are of one split.
    """
    if tree.given is not None:
        is_right = tree.given.suffix.lower() in suffixes and is_own(head(tree.given))
        return {split_of(tree.given.stem) or ALL: tree.given} if is_right else {}
    found: dict[str, Path] = {}
    for folder in (tree.root, *tree.folders(tree.root)):
        files = tree.files(folder, suffixes)
        for file in files if len(files) <= _MANY else ():
            if not is_own(head(file)):
                continue
            split = split_of(file.stem) or (split_of(folder.name) if folder != tree.root else None) or ALL
            other = found.setdefault(split, file)
            if other != file:
                raise InputError(
                    f"{other} and {file} are both annotations of '{split}': give the path of the one to use, "
                    "or move the other away."
                )
    return found


def files_of_images(tree: FileTree, suffix: str, is_own: Callable[[bytes], bool]) -> dict[str, list[Path]]:
    """Split -> files that are each for one image, sorted; of each folder some are looked at."""
    if tree.given is not None:
        is_right = tree.given.suffix.lower() == suffix and is_own(head(tree.given))
        return {ALL: [tree.given]} if is_right else {}
    found: list[Path] = []
    for folder, _ in tree.walk():
        files = tree.files(folder, (suffix,))
        step = max(1, len(files) // _SAMPLE)
        if any(is_own(head(file)) for file in files[::step][:_SAMPLE]):
            found += files
    return by_split(found, tree.root)


def by_split(files: Iterable[Path], root: Path) -> dict[str, list[Path]]:
    """Split -> those of ``files`` that lie in folders which speak of it, the innermost first; else ``all``.

    Raises:
        InputError: folders of different names speak of a split equally.
    """
    found: dict[str, list[Path]] = {}
    for file in files:
        parts = file.parent.relative_to(root).parts if file.is_relative_to(root) else ()
        found.setdefault(next((part for part in reversed(parts) if split_of(part)), ALL), []).append(file)
    return one_of_each(found, root)
