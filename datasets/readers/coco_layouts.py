"""Where data sets in COCO's format keep their JSON files and images, whatever the files are called."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import is_file, list_names, missing_split
from pocketvision.datasets.records.splits import ALL, canonical, find_split, split_of

_OFFICIAL = re.compile(r"instances_(.+?)(2017|2014)?\.json")
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def coco_splits(root: Path) -> dict[str, Path]:
    """Split -> annotation file: ``instances_{split}.json`` here or in ``annotations``, else any COCO JSON.

    Files of other names are taken for the split that their name or their folder speaks of
    (``valid/_annotations.coco.json``), or ``all`` where there is one file and it speaks of none.
    """
    official: dict[str, Path] = {}
    inner = root / "annotations"
    places = ((inner, None), (inner, "2014"), (inner, "2017"), (root, "2014"), (root, "2017"), (root, None))
    for folder, year in places:  # the last one counts
        matches = (_OFFICIAL.fullmatch(name) for name in sorted(list_names(folder)))
        official |= {match[1]: folder / match[0] for match in matches if match and match[2] == year}
    return official or _others(root)


def find_coco(root: Path, split: str) -> tuple[Path, Path]:
    """The annotation file and the image folder of a split.

    Raises:
        InputError: there is no such split, or no folder with its images.
    """
    files = coco_splits(root)
    name = find_split(files, split)
    if name is None:  # val2017 is val
        name = next((own for own, file in files.items() if file.name == f"instances_{split}.json"), None)
    if name is None:
        raise missing_split(root, split, files)
    file = files[name]
    match = _OFFICIAL.fullmatch(file.name)
    own = f"{match[1]}{match[2] or ''}" if match else name
    parents = (
        (root, root / "images") if match else (root, root / "images", file.parent, file.parent / "images")
    )
    folders = [parent / part for parent in parents for part in (own, name)]
    if match:
        found = next((folder for folder in folders if folder.is_dir()), None)
    else:
        found = _holding(_first_image(file), [*folders, file.parent, *parents], file)
    if found is None:
        raise InputError(f"{file} has no image folder: put its images into {folders[0]}.")
    return file, found


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
        found.setdefault(split_of(file.stem) or of_folder or (ALL if len(files) == 1 else file.stem), file)
    return found


def _is_coco(file: Path) -> bool:
    """Whether the three lists of a detection JSON are there; it is searched, not parsed."""
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return False
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
            has_lists = all(text.find(key) >= 0 for key in (b'"images"', b'"annotations"', b'"categories"'))
            return has_lists and text.find(b'"segments_info"') < 0  # else it is panoptic


def _first_image(file: Path) -> str | None:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        match = _FILE_NAME.search(text)
        try:
            return None if match is None else str(json.loads(match[1]))
        except ValueError:
            return None


def _holding(image: str | None, folders: list[Path], file: Path) -> Path | None:
    """The first folder that has the image."""
    if image is None:
        raise InputError(f"{file} names no image file: export it again as COCO instances.")
    return next((folder for folder in folders if is_file(folder / image)), None)
