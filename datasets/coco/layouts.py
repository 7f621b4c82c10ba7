"""Where data sets in COCO's format keep their JSON files and images, whatever the files are called."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_OFFICIAL = re.compile(r"instances_(.+?)(2017|2014)?\.json", re.IGNORECASE)
_KEYS = ("images", "annotations", "categories")
_MANY = 40
"""JSON files in a folder from which on they are taken for one an image, which COCO's are not."""
_SAMPLE = 64


def coco_files(tree: FileTree) -> dict[str, Path]:
    """Split -> annotation file: ``instances_{split}.json`` here or in ``annotations``, else any COCO JSON.

    Files of other names are taken for the split that their name or their folder speaks of
    (``valid/_annotations.coco.json``), or ``all`` where there is one file and it speaks of none.

    Raises:
        InputError: several files are of the same split.
    """
    if tree.given is not None:
        if not _may_be_coco(tree.given):
            return {}
        match = _OFFICIAL.fullmatch(tree.given.name)
        return {_split(tree.given, tree, match[1] if match else None) or ALL: tree.given}
    official = _official(tree)
    return official or _others(tree)


def image_folder_of(tree: FileTree, split: str, file: Path, names: Sequence[str]) -> list[Path]:
    """Folders in which the images of ``file`` may lie, the one with most of them first.

    ``names`` are the file names that the annotations state.
    """
    match = _OFFICIAL.fullmatch(file.name)
    own = [f"{match[1]}{match[2] or ''}", match[1]] if match else []
    parts = list(dict.fromkeys([*own, split]))
    parents = [tree.root]
    beside = (tree.child(tree.root, "images", "data"), file.parent, tree.child(file.parent, "images", "data"))
    for inner in beside:
        parents += [inner] if inner is not None else []
    found = [folder for parent in parents for part in parts if (folder := tree.child(parent, part))]
    candidates = list(dict.fromkeys([*found, *parents]))
    step = max(1, len(names) // _SAMPLE)
    sample = names[::step][:_SAMPLE]
    counts = [sum(tree.is_file(folder / name) for name in sample) for folder in candidates]
    order = sorted(range(len(candidates)), key=lambda i: -counts[i])
    return [candidates[i] for i in order]


def expected_folder(tree: FileTree, split: str, file: Path) -> Path:
    """Where the images of a file should be put."""
    match = _OFFICIAL.fullmatch(file.name)
    return tree.root / (f"{match[1]}{match[2] or ''}" if match else "images" if split == ALL else split)


def _official(tree: FileTree) -> dict[str, Path]:
    found: dict[str, Path] = {}
    inner = tree.child(tree.root, "annotations")
    root = tree.root
    places = ((inner, None), (inner, "2014"), (inner, "2017"), (root, "2014"), (root, "2017"), (root, None))
    for folder, year in places:  # the last one counts
        for file in tree.files(folder, (".json",)) if folder is not None else ():
            match = _OFFICIAL.fullmatch(file.name)
            if match and match[2] == year:
                found[canonical(match[1])] = file
    return found


def _others(tree: FileTree) -> dict[str, Path]:
    folders = [tree.root, *tree.folders(tree.root)]
    folders += [inner for folder in folders[1:] for inner in tree.folders(folder) if split_of(inner.name)]
    files = [file for folder in folders for file in _jsons(tree, folder) if _is_coco(file)]
    if not files:
        files = [file for file in _jsons(tree, tree.root) if _may_be_coco(file)]
    groups: dict[str, list[Path]] = {}
    for file in files:
        split = _split(file, tree, None) or (ALL if len(files) == 1 else file.stem)
        groups.setdefault(split, []).append(file)
    return {split: _chosen(split, group) for split, group in groups.items()}


def _jsons(tree: FileTree, folder: Path) -> list[Path]:
    files = tree.files(folder, (".json",))
    if len(files) > _MANY:
        files = [file for file in files if split_of(file.stem) or "coco" in file.stem.lower()]
    return files[:_MANY]


def _split(file: Path, tree: FileTree, official: str | None) -> str | None:
    """The split that the name of a file or of its folder speaks of."""
    if official is not None:
        return canonical(official)
    of_folder = split_of(file.parent.name) if file.parent != tree.root else None
    return split_of(file.stem) or of_folder


def _chosen(split: str, files: list[Path]) -> Path:
    """Of several files of a split the one that is called just so."""
    if len(files) == 1:
        return files[0]
    plain = [file for file in files if canonical(file.stem) == split or _OFFICIAL.fullmatch(file.name)]
    if len(plain) == 1:
        return plain[0]
    raise InputError(
        f"{files[0]} and {files[1]} are both annotations of '{split}': give the path of the one to use, or "
        "move the other away."
    )


def _is_coco(file: Path) -> bool:
    """Whether the three lists of a detection JSON are there."""
    return len(_found_keys(file)) == len(_KEYS)


def _may_be_coco(file: Path) -> bool:
    """Whether it is, or was before it was cut off."""
    found = _found_keys(file)
    return _OFFICIAL.fullmatch(file.name) is not None or len(found) == len(_KEYS) or len(found) == 2


def _found_keys(file: Path) -> list[str]:
    """The lists of COCO's that a file names; it is searched, not parsed. None of a panoptic one's."""
    if file.suffix.lower() != ".json":
        return []
    try:
        with file.open("rb") as stream:
            if not file.stat().st_size:
                return []
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
                encoding = _encoding(text[:4])
                if text.find('"segments_info"'.encode(encoding)) >= 0:
                    return []
                return [key for key in _KEYS if text.find(f'"{key}"'.encode(encoding)) >= 0]
    except (OSError, ValueError):
        return []


def _encoding(start: bytes) -> str:
    if start[:2] == b"\xff\xfe" or (start[1:2] == b"\0" and start[:1] != b"\0"):
        return "utf-16-le"
    if start[:2] == b"\xfe\xff" or start[:1] == b"\0":
        return "utf-16-be"
    return "utf-8"
