"""Where data sets in YOLO's format keep their images and class names: ``data.yaml``, or folders alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.class_list import read_names
from pocketvision.datasets.readers.text import read_text
from pocketvision.datasets.readers.tree import FileTree, is_file, is_folder, is_image
from pocketvision.datasets.records.splits import ALL, canonical, one_of_each, split_of

_NOT_SPLITS = {"path", "nc", "names", "kpt_shape", "flip_idx", "download", "roboflow", "channels"}
_NOTHING = ("", "null", "~", "None")
_YAML = (".yaml", ".yml")
_MAX_CLASSES = 10_000
Sources = dict[str, tuple[Path, ...]]
_NAME_FILES = ("classes.txt", "class_names.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")
_LISTS = ("train", "val", "valid", "test")
NO_LABELS = (*_NAME_FILES, "readme.txt", "readme.roboflow.txt", "readme.dataset.txt", "notes.txt",
             "license.txt", *(f"{name}.txt" for name in _LISTS))  # fmt: skip
"""Text files that are no labels, in lower case."""


@dataclass(frozen=True)
class YoloLayout:
    """What is known before any label is read.

    ``sources`` has the folders, lists of images or image files of each split, ``broken`` a sentence for
    each split of which one is missing; ``has_keypoints`` means that labels have keypoints after the box.
    """

    file: Path
    folder: Path
    class_names: tuple[str | None, ...]
    sources: dict[str, tuple[Path, ...]]
    broken: dict[str, str] = field(default_factory=dict)
    has_keypoints: bool = False


def find_yolo(tree: FileTree) -> YoloLayout | None:
    """The layout by a data.yaml, or by folders of labels; None where there is neither.

    Raises:
        InputError: the yaml is broken or has no class names.
    """
    file = _find_yaml(tree)
    if file is not None:
        return _from_yaml(file, tree)
    if tree.given is not None:
        return None
    sources = _folders(tree, tree.root)
    if not sources:
        return None
    names = _find_names(tree)
    if names is None:
        raise InputError(
            f"{tree.root} does not say what its YOLO classes are called: write the names into "
            f"{tree.root / 'classes.txt'}, one a line, or add a data.yaml."
        )
    return YoloLayout(names, tree.root, read_names(names), sources)


def _find_names(tree: FileTree) -> Path | None:
    """The file of class names: at the root, with the labels, or the same one in the folder of each split."""
    folders = [tree.root, *tree.folders(tree.root)]
    folders += [inner for folder in folders[1:] for inner in tree.folders(folder)]
    found = [
        file
        for folder in folders
        for file in tree.files(folder)
        if file.name.lower() in _NAME_FILES or file.suffix.lower() == ".names"
    ]
    order = {name: i for i, name in enumerate(_NAME_FILES)}
    found.sort(key=lambda file: (len(file.parts), order.get(file.name.lower(), len(order)), str(file)))
    return found[0] if found else None


def _find_yaml(tree: FileTree) -> Path | None:
    if tree.given is not None:
        return tree.given if tree.given.suffix.lower() in _YAML else None
    files = tree.files(tree.root, _YAML)
    preferred = [tree.root / "data.yaml", tree.root / "dataset.yaml"]
    for file in [*(path for path in preferred if path in files), *files]:
        if re.search(r"^[\"']?names[\"']?\s*:", read_text(file), flags=re.MULTILINE):
            return file
    return None


def _from_yaml(file: Path, tree: FileTree) -> YoloLayout:
    try:
        # Every scalar stays text: class names such as no, on, 1 or 2024-01-01 are names.
        content = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{file} is no valid YAML ({problem}): correct it, or export it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no 'key: value' lines: export it again as a YOLO data.yaml.")
    names = _names(content.get("names"), content.get("nc"), file)
    bases = _bases(content.get("path"), file.parent)
    sources, broken = _stated(content, file, bases, tree)
    if not sources and not broken:
        sources = _folders(tree, bases[0])
    return YoloLayout(file, bases[0], names, sources, broken, "kpt_shape" in content)


def _stated(
    content: dict[Any, Any], file: Path, bases: list[Path], tree: FileTree
) -> tuple[Sources, dict[str, str]]:
    """The places of the splits that a yaml states, and a sentence for each of which one is missing."""
    keys = [key for key in content if isinstance(key, str) and key not in _NOT_SPLITS]
    stated = {key: entries for key in keys if (entries := _entries(content[key]))}
    stated = {key: own for key, own in stated.items() if split_of(key) or _are_paths(own, bases[0])}
    one_of_each(stated, file, canonical)  # two keys of one split must say the same
    sources: Sources = {}
    broken: dict[str, str] = {}
    for key, entries in stated.items():
        places = {entry: _find(entry, bases, tree) for entry in entries}
        missing = next((entry for entry, place in places.items() if place is None), None)
        if missing is None:
            sources[canonical(key)] = tuple(place for place in places.values() if place is not None)
        else:
            where = bases[0] / missing.replace("\\", "/")
            broken[canonical(key)] = (
                f"{file} has '{key}: {missing}', but there is no {where}: correct the path."
            )
    empty = [key for key in keys if canonical(key) == "train" and not _is_nothing(content[key])]
    if empty and not {"train"} & {*sources, *broken}:
        broken["train"] = f"{file} has '{empty[0]}' without any path: write the folder of its images there."
    return sources, broken


def _bases(path: Any, beside: Path) -> list[Path]:
    """Folders that paths of the yaml may be meant from: ``path``, by its end if it is of another machine."""
    bases = []
    if isinstance(path, str) and path not in _NOTHING:
        plain = PurePosixPath(path.replace("\\", "/"))
        parts = [part for part in plain.parts if part not in ("..", ".", "/")]
        tails = [beside.joinpath(*parts[start:]) for start in range(len(parts))]
        bases = [base for base in (beside / plain, *tails) if is_folder(base)]
    return list(dict.fromkeys([*bases, beside]))


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in _NOTHING)


def _names(names: Any, count: Any, file: Path) -> tuple[str | None, ...]:
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise InputError(
            f"{file} has no class names: write them as 'names: [cat, dog]' or 'names: {{0: cat}}'."
        )
    try:
        by_id = {int(key): name.strip() for key, name in names.items()}
    except (TypeError, ValueError):
        raise InputError(f"{file} has names whose keys are no class numbers: count them from 0.") from None
    is_counted = min(by_id) >= 0 and max(by_id) < _MAX_CLASSES
    if not is_counted or len(set(by_id.values())) < len(by_id) or "" in by_id.values():
        raise InputError(f"{file} must have names counted from 0, none empty and each once.")
    if (
        isinstance(count, str)
        and count.strip().isdecimal()
        and len(count) < 9
        and int(count) != max(by_id) + 1
    ):
        raise InputError(f"{file} says nc: {count}, but has {max(by_id) + 1} names: correct one of them.")
    return tuple(by_id.get(i) for i in range(max(by_id) + 1))


def _entries(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str) and entry not in _NOTHING]


def _are_paths(entries: list[str], folder: Path) -> bool:
    """Whether an unknown key, such as ``trainval``, names places of the data."""
    return all(is_folder(folder / entry) or is_file(folder / entry) for entry in entries)


def _find(entry: str, bases: list[Path], tree: FileTree) -> Path | None:
    """The folder or list of a split, below the data's folder or beside the yaml; None if there is none.

    Exports state ``../train/images`` or ``project/train/images`` for what lies beside the yaml, or the place
    on another machine. Of such paths the longest end that is there counts, of folders one of two names
    at least, and never one that speaks of another split.
    """
    plain = PurePosixPath(entry.replace("\\", "/"))
    parts = [part for part in plain.parts if part not in ("..", ".", "/")]
    if not parts:
        return None
    ends = [parts[start:] for start in range(len(parts))]
    for tail in [list(plain.parts), *ends]:
        for base in bases:
            place = _exact(base.joinpath(*tail), base, tree)
            if place is None:
                continue
            is_list = is_file(place)
            if is_list or ((len(tail) > 1 or len(parts) == 1) and not _is_above(place, bases[-1])):
                return place
    return None


def _exact(place: Path, base: Path, tree: FileTree) -> Path | None:
    """``place`` if it is there, in whatever case below ``base``."""
    if is_file(place) or is_folder(place):
        return place
    if ".." in place.parts or not place.is_relative_to(base):
        return None
    found: Path | None = base
    for part in place.relative_to(base).parts:
        found = tree.child(found, part) if found is not None else None
    return found


def _is_above(place: Path, beside: Path) -> bool:
    """A folder above the yaml is a mistake that could make us walk through a whole disk."""
    return place.resolve() in beside.resolve().parents


def _folders(tree: FileTree, root: Path) -> Sources:
    """Splits of a data set without yaml: folders beside folders of labels, lists, or folders of both."""
    lists = {file.stem.lower(): file for file in tree.files(root, (".txt",)) if file.stem.lower() in _LISTS}
    listed: Sources = {name: (file,) for name, file in lists.items() if _names_images(file)}
    labels, images = tree.child(root, "labels"), tree.child(root, "images")
    if labels is not None and images is not None and _has_labels(tree, labels):
        inner = [folder for folder in tree.folders(images) if split_of(folder.name)]
        if inner:
            return one_of_each({folder.name: (folder,) for folder in inner}, images)
        return one_of_each(listed, root) or {ALL: (images,)}
    splits: Sources = {}
    for folder in (folder for folder in tree.folders(root) if split_of(folder.name)):
        own_labels, own_images = tree.child(folder, "labels"), tree.child(folder, "images")
        if own_labels is not None and own_images is not None and _has_labels(tree, own_labels):
            splits[folder.name] = (own_images,)
        elif _are_beside(tree, folder):
            splits[folder.name] = (folder,)
    if splits:
        return one_of_each(splits, root)
    if listed and any(_are_beside(tree, folder) for folder in (root, *tree.folders(root))):
        return one_of_each(listed, root)
    mixed = [folder for folder in (root, *tree.folders(root)) if _are_beside(tree, folder)]
    return {ALL: tuple(mixed)} if mixed and _find_names(tree) is not None else {}


def _names_images(file: Path) -> bool:
    """Whether the first line of a list is the name of an image."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            first = next((line.strip() for line in stream if line.strip()), "")
    except OSError:
        return False
    return is_image(first.replace("\\", "/").rpartition("/")[2])


def _has_labels(tree: FileTree, folder: Path) -> bool:
    return any(
        name.lower().endswith(".txt") and name.lower() not in NO_LABELS
        for _, listing in tree.walk(folder)
        for name in listing.files
    )


def _are_beside(tree: FileTree, folder: Path) -> bool:
    """Whether at least half of the images have a txt of their own beside them."""
    images = tree.images(folder)
    names = {file.stem.lower() for file in tree.files(folder, (".txt",))}
    names |= {Path(name).stem for name in names if is_image(name)}
    return bool(images) and sum(image.stem.lower() in names for image in images) * 2 >= len(images)
