"""Where data sets in YOLO's format keep their images and class names: ``data.yaml``, or folders alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.class_list import read_names
from pocketvision.datasets.readers.folders import (
    images_below,
    is_file,
    is_folder,
    is_image,
    list_names,
    read_lines,
    read_text,
)
from pocketvision.datasets.readers.image_names import ImageNames
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_NOT_SPLITS = {"path", "nc", "names", "kpt_shape", "flip_idx", "download", "roboflow", "channels"}
_NOTHING = ("", "null", "~", "None")
_YAML = (".yaml", ".yml")


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

    def images(self, split: str) -> list[Path]:
        """The images of a split: folders and lists in the order of the file, each image once.

        Raises:
            InputError: a list names an image that does not exist.
        """
        found: list[Path] = []
        for source in self.sources[split]:
            found += images_below(source) if is_folder(source) else _listed(source, self.folder)
        return list(dict.fromkeys(found))


def find_yolo(root: Path) -> YoloLayout | None:
    """The layout of ``root``, a folder or a data.yaml; None where there is neither yaml nor labels.

    Raises:
        InputError: the yaml is broken or has no class names.
    """
    file = _find_yaml(root)
    if file is not None:
        return _from_yaml(file)
    if not root.is_dir():
        return None
    sources = _folders(root)
    names = [path for path in _name_files(root) if is_file(path)]
    if not sources:
        return None
    if not names:
        raise InputError(
            f"{root} does not say what its YOLO classes are called: write the names into "
            f"{root / 'classes.txt'}, one a line, or add a data.yaml."
        )
    return YoloLayout(names[0], root, read_names(names[0]), sources)


def _find_yaml(root: Path) -> Path | None:
    if root.suffix.lower() in _YAML and root.is_file():
        return root
    files = sorted(root / name for name in list_names(root) if name.lower().endswith(_YAML))
    preferred = [root / "data.yaml", root / "dataset.yaml"]
    for file in [*(path for path in preferred if path in files), *files]:
        if file.is_file() and re.search(r"^[\"']?names[\"']?\s*:", read_text(file), flags=re.MULTILINE):
            return file
    return None


def _from_yaml(file: Path) -> YoloLayout:
    try:
        # Every scalar stays text: class names such as no, on, 1 or 2024-01-01 are names.
        content = yaml.load(read_text(file), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{file} is no valid YAML ({problem}): correct it, or export it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no 'key: value' lines: export it again as a YOLO data.yaml.")
    names = _names(content.get("names"), content.get("nc"), file)
    path = content.get("path")
    base = _find(path, file.parent, file.parent) if isinstance(path, str) else None
    folder = base if base is not None and is_folder(base) else file.parent
    sources: dict[str, tuple[Path, ...]] = {}
    broken: dict[str, str] = {}
    for key, value in content.items():
        if key in _NOT_SPLITS or value in _NOTHING or not (split_of(key) or _are_paths(value, folder)):
            continue
        places = {entry: _find(entry, folder, file.parent) for entry in _entries(value)}
        missing = next((entry for entry, place in places.items() if place is None), None)
        if missing is None:
            sources[canonical(key)] = tuple(place for place in places.values() if place is not None)
        else:
            where = folder / missing
            broken[canonical(key)] = (
                f"{file} has '{key}: {missing}', but there is no {where}: correct the path."
            )
    if not sources and not broken:
        sources = _folders(folder)
    return YoloLayout(file, folder, names, sources, broken, "kpt_shape" in content)


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
    if (
        min(by_id) < 0
        or max(by_id) >= 10_000
        or len(set(by_id.values())) < len(by_id)
        or "" in by_id.values()
    ):
        raise InputError(f"{file} must have names counted from 0, none empty and each once.")
    if isinstance(count, str) and count.strip().isdecimal() and int(count) != max(by_id) + 1:
        raise InputError(f"{file} says nc: {count}, but has {max(by_id) + 1} names: correct one of them.")
    return tuple(by_id.get(i) for i in range(max(by_id) + 1))


def _entries(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str) and entry not in _NOTHING]


def _are_paths(value: Any, folder: Path) -> bool:
    """Whether an unknown key, such as ``trainval``, names places of the data."""
    entries = _entries(value)
    return bool(entries) and all(is_folder(folder / entry) or is_file(folder / entry) for entry in entries)


def _find(entry: str, folder: Path, beside: Path) -> Path | None:
    """The folder or list of a split, below the data's folder or beside the yaml; None if there is none.

    Exports state ``../train/images`` for what lies beside the yaml, or the place on another machine.
    """
    plain = PurePosixPath(entry.replace("\\", "/"))
    parts = [part for part in plain.parts if part not in ("..", ".", "/")]
    below = [PurePosixPath(*parts[i:]) for i in range(len(parts))]
    for place in (base / path for path in (plain, *below) for base in (folder, beside)):
        # A folder above the yaml is a mistake that could make us walk through a whole disk.
        if is_file(place) or (is_folder(place) and place.resolve() not in beside.resolve().parents):
            return place
    return None


def _listed(file: Path, folder: Path) -> list[Path]:
    """The images that a list file names, relative to it or to the data's folder."""
    if is_image(file.name):
        return [file]
    images, names = [], ImageNames(folder, None)
    for number, line in enumerate(read_lines(file), start=1):
        plain = line.replace("\\", "/")
        place = next((p for p in (file.parent / plain, folder / plain) if is_file(p)), None)
        images.append(place or names.find(plain, f"{file}, image {number}"))
    return images


def _folders(root: Path) -> dict[str, tuple[Path, ...]]:
    """Splits of a data set without yaml: folders beside folders of labels, lists, or one folder of both."""
    names = sorted(name for name in list_names(root) if not name.startswith("."))
    if _has_labels(root / "labels"):
        inside = (name for name in list_names(root / "images") if not name.startswith("."))
        inner = sorted(name for name in inside if is_folder(root / "images" / name))
        lists = {name: root / f"{name}.txt" for name in ("train", "val", "test") if f"{name}.txt" in names}
        if inner and any(split_of(name) for name in inner):
            return {canonical(name): (root / "images" / name,) for name in inner}
        return {name: (file,) for name, file in lists.items()} or {ALL: (root / "images",)}
    splits = [name for name in names if split_of(name) and _has_labels(root / name / "labels")]
    if splits:
        return {canonical(name): (root / name / "images",) for name in splits}
    mixed = [name for name in names if split_of(name) and _are_beside(root / name)]
    if mixed:
        return {canonical(name): (root / name,) for name in mixed}
    return {ALL: (root,)} if _are_beside(root) and any(map(is_file, _name_files(root))) else {}


def _has_labels(folder: Path) -> bool:
    inner = [folder, *(folder / name for name in list_names(folder) if split_of(name))]
    return any(name.endswith(".txt") for path in inner for name in list_names(path))


def _are_beside(folder: Path) -> bool:
    """Whether at least half of the images have a txt of their own beside them."""
    names = list_names(folder)
    images = [name for name in names if is_image(name)]
    return bool(images) and sum(f"{Path(n).stem}.txt" in names for n in images) * 2 >= len(images)


def _name_files(root: Path) -> list[Path]:
    splits = sorted(root / name for name in list_names(root) if split_of(name))
    files = ("classes.txt", "class_names.txt", "labels/classes.txt", "obj.names", "_darknet.labels")
    places = [folder / name for folder in (root, *splits) for name in files]
    return [*places, *sorted(root / name for name in list_names(root) if name.endswith(".names"))]
