"""Where data sets in COCO's format keep their JSON files and images, whatever the files are called."""

from __future__ import annotations

import codecs
import json
import mmap
import re
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import existing_root, is_file, list_names, missing_split
from pocketvision.datasets.records.splits import ALL, canonical, find_split, split_of

_OFFICIAL = re.compile(r"instances_(.+?)(2017|2014)?\.json")
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def coco_splits(root: Path) -> dict[str, Path]:
    """Split -> annotation file: ``instances_{split}.json`` here or in ``annotations``, else any COCO JSON.

    Files of other names are taken for the split that their name or their folder speaks of
    (``valid/_annotations.coco.json``), or ``all`` where there is one file and it speaks of none. One file
    instead of a folder is the split ``all``.

    Raises:
        InputError: two files are for one split, and neither is called just after it.
    """
    if is_file(root):
        return {ALL: root} if root.suffix.lower() == ".json" and _is_coco(root) else {}
    official: dict[str, Path] = {}
    inner = root / "annotations"
    places = ((inner, None), (inner, "2014"), (inner, "2017"), (root, "2014"), (root, "2017"), (root, None))
    for folder, year in places:  # the last one counts
        matches = (_OFFICIAL.fullmatch(name) for name in sorted(list_names(folder)))
        official |= {match[1]: folder / match[0] for match in matches if match and match[2] == year}
    return official or _others(root)


def existing_place(root: str | Path) -> Path:
    """``root`` as a path: a folder or a JSON file.

    Raises:
        InputError: there is neither.
    """
    path = Path(root).expanduser()
    return path if is_file(path) else existing_root(path)


def image_root(place: Path) -> Path:
    """The folder below which the images of a folder or annotation file lie."""
    if not is_file(place):
        return place
    return place.parent.parent if place.parent.name == "annotations" else place.parent


def find_coco(place: Path, split: str) -> tuple[Path, Path | None]:
    """The annotation file of a split and its image folder, None where no usual one has its first image.

    Raises:
        InputError: there is no such split.
    """
    root, files = image_root(place), coco_splits(place)
    name = find_split(files, split)
    if name is None:  # val2017 is val
        name = next((own for own, file in files.items() if file.name == f"instances_{split}.json"), None)
    if name is None:
        raise missing_split(root, split, files)
    file = files[name]
    match = _OFFICIAL.fullmatch(file.name)
    own = f"{match[1]}{match[2] or ''}" if match else name
    parents = (root, root / "images", file.parent, file.parent / "images")
    words = dict.fromkeys((own, name, split_of(file.stem) or name))
    folders = [parent / part for parent in parents for part in words]
    image = _first_image(file)
    candidates = [*folders, file.parent, *parents]
    if image is None:
        return file, next((folder for folder in folders if folder.is_dir()), None)
    return file, next((folder for folder in candidates if is_file(folder / image)), None)


def _others(root: Path) -> dict[str, Path]:
    folders = [root, root / "annotations", *(root / n for n in sorted(list_names(root)) if split_of(n))]
    names = [(folder, name) for folder in folders for name in sorted(list_names(folder))]
    files = [
        folder / name for folder, name in names if name.lower().endswith(".json") and _is_coco(folder / name)
    ]
    found: dict[str, Path] = {}
    for file in files:
        of_folder = (
            canonical(file.parent.name) if split_of(file.parent.name) and file.parent != root else None
        )
        split = split_of(file.stem) or of_folder or (ALL if len(files) == 1 else file.stem)
        found[split] = _better(found[split], file, split) if split in found else file
    return found


def _better(one: Path, two: Path, split: str) -> Path:
    """The one of two files that is called just after the split: ``train.json``, not ``backup_train.json``."""
    exact = [file for file in (one, two) if canonical(file.stem) == split]
    if len(exact) == 1:
        return exact[0]
    raise InputError(f"{one} and {two} are both for the split '{split}': give one of them, or remove one.")


def _is_coco(file: Path) -> bool:
    """Whether the three lists of a detection JSON are there; it is searched, not parsed."""
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return False
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
            encoding = _ENCODINGS.get(text[:2], "ascii")
            keys = [f'"{key}"'.encode(encoding) for key in ("images", "annotations", "categories")]
            is_panoptic = text.find('"segments_info"'.encode(encoding)) >= 0
            return all(text.find(key) >= 0 for key in keys) and not is_panoptic


def _first_image(file: Path) -> str | None:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        match = _FILE_NAME.search(text)
        try:
            return None if match is None else str(json.loads(match[1]))
        except ValueError:
            return None
