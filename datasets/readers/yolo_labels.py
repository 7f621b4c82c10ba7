"""Which label file belongs to which image of a YOLO data set, wherever tools put it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pocketvision.datasets.readers.counted import Counted
from pocketvision.datasets.readers.folders import is_folder, list_names, walk

_LISTS = {
    "classes", "class_names", "names", "predefined_classes", "train", "val", "valid", "test", "trainval",
    "readme",
}  # fmt: skip
"""Text files that are no labels."""
_SEPARATORS = ("-", "_", ".")


def label_files(images: list[Path], folder: Path, done: Counted | None = None) -> list[Path]:
    """The label file of each image, or where it was expected.

    It lies below ``labels`` instead of ``images``, or beside the image, with the image's stem or whole name;
    else anywhere below ``folder`` where only one file has that name, with or without something in front.
    """
    places = {parent: _places(parent) for parent in dict.fromkeys(image.parent for image in images)}
    listed = {place: _texts(place) for pair in places.values() for place in pair}
    files: list[Path | None] = []
    for image in images:
        names = (image.stem.casefold(), image.name.casefold())
        found = (listed[place].get(name) for place in places[image.parent] for name in names)
        files.append(next((file for file in found if file is not None), None))
    missing = [i for i, file in enumerate(files) if file is None]
    if missing:
        elsewhere = _Elsewhere(folder, {file for file in files if file is not None})
        for i in missing:
            files[i] = found_file = elsewhere.find(images[i])
            if found_file is not None and done is not None:
                done.add("images have their labels in another folder or under another name", f"{found_file}")
    expected = [places[image.parent][0] / f"{image.stem}.txt" for image in images]
    return [file or other for file, other in zip(files, expected, strict=True)]


def _places(folder: Path) -> tuple[Path, ...]:
    """Where labels of the images in ``folder`` are: below labels, beside the images."""
    parts = [part.casefold() for part in folder.parts]
    if "images" not in parts:
        return (folder,)
    last = len(parts) - 1 - parts[::-1].index("images")
    above = Path(*folder.parts[:last])
    named = [name for name in _names(above) if name.casefold() == "labels"]
    beside = [Path(above, name, *folder.parts[last + 1 :]) for name in named]
    return (*(place for place in beside if is_folder(place)), folder)


@lru_cache(maxsize=64)
def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(list_names(folder)))


def _texts(folder: Path) -> dict[str, Path]:
    """Stem in small letters -> text file."""
    names = sorted(name for name in list_names(folder) if _is_text(name))
    return {name[: -len(".txt")].casefold(): folder / name for name in names}


def _is_text(name: str) -> bool:
    return name[-4:].lower() == ".txt" and not name.startswith(".")


class _Elsewhere:
    """Text files below a folder that belong to no image yet."""

    def __init__(self, folder: Path, taken: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        used = set(taken)
        for file in (parent / name for parent, names in walk(folder) for name in names):
            stem = file.name[: -len(".txt")].casefold()
            if _is_text(file.name) and file not in used and stem not in _LISTS:
                self._by_stem[stem].append(file)

    def find(self, image: Path) -> Path | None:
        """The only file of the image's name, else the only one that ends with it."""
        for name in (image.stem.casefold(), image.name.casefold()):
            if len(self._by_stem.get(name, ())) == 1:
                return self._by_stem[name][0]
        ends = tuple(f"{separator}{image.stem.casefold()}" for separator in _SEPARATORS)
        ending = [files for stem, files in self._by_stem.items() if stem.endswith(ends)]
        return ending[0][0] if len(ending) == 1 and len(ending[0]) == 1 else None
