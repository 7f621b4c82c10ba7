"""Where data sets in VOC's format keep their XML files, images and lists of splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import (
    IMAGE_SUFFIXES,
    empty_split,
    is_folder,
    is_image,
    list_names,
    read_lines,
    walk,
)
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_FOLDERS = (
    ("Annotations", "JPEGImages"), ("Annotations", "images"), ("annotations", "images"),
    ("annotations/xmls", "images"), ("labels", "data"), ("labels", "images"), ("xml", "images"),
)  # fmt: skip
_FLAGS = ("-1", "0", "1")


@dataclass(frozen=True)
class VocSplit:
    """A split: its folders, and the list of its stems, or None where it is every XML file."""

    annotations: Path
    images: Path
    listing: Path | None

    def stems(self, split: str) -> list[str]:
        """Stems of the split's files, with their folders below ``annotations``.

        A line may end with a flag, as in VOC's lists of a class.

        Raises:
            InputError: there are none.
        """
        files = files_by_stem(self.annotations, (".xml",))
        lines = [_stem(line, files) for line in read_lines(self.listing)] if self.listing else list(files)
        stems = list(dict.fromkeys(lines))
        if not stems:
            raise empty_split(self.listing or self.annotations, split)
        return stems

    def find_images(self, stems: list[str], files: Mapping[str, Path]) -> dict[str, Path]:
        """The image of each stem: that of the same stem, or that whose whole name the XML's stem is.

        Raises:
            InputError: a stem has no XML file or no image; names it and the list that asks for it.
        """
        images = files_by_stem(self.images, IMAGE_SUFFIXES)
        found = {stem: images.get(stem, images.get(str(Path(stem).with_suffix("")))) for stem in stems}
        for stem in stems:
            if stem not in files:
                missing = f"annotation {self.annotations / stem}.xml"
            elif found[stem] is None:
                missing = f"image {self.images / stem}.jpg (or {', '.join(IMAGE_SUFFIXES[1:])})"
            else:
                continue
            what = f"the line '{stem}' from {self.listing}" if self.listing else f"{files[stem]}"
            raise InputError(f"There is no {missing}: add it, or remove {what}.")
        return {stem: path for stem, path in found.items() if path is not None}


def files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Path below ``folder`` without suffix -> file, sorted by it.

    Raises:
        InputError: two files differ only in their suffix.
    """
    found: dict[str, Path] = {}
    files = [parent / name for parent, names in walk(folder) for name in names if not name.startswith(".")]
    stems = [(file.relative_to(folder).with_suffix("").as_posix(), file) for file in files]
    for stem, file in sorted(pair for pair in stems if pair[1].suffix.lower() in suffixes):
        if found.setdefault(stem, file) != file:
            raise InputError(
                f"{file.parent} holds {found[stem].name} and {file.name}, which differ only in their suffix: "
                "remove or rename one."
            )
    return found


def _stem(line: str, files: Mapping[str, Path]) -> str:
    name, _, flag = line.rpartition(" ")
    return name.strip() if line not in files and name.strip() and flag in _FLAGS else line


def voc_splits(root: Path) -> dict[str, VocSplit]:
    """Splits by ``ImageSets/Main``; without it all of ``Annotations``, or folders of images and XML files."""
    for files, images in _FOLDERS:
        if _has_xml(root / files):
            return _listed(root, root / files, root / images)
    lists = root / "ImageSets" / "Main"
    if _lists(lists):
        return _listed(root, root / "Annotations", root / "JPEGImages")
    for parent in (root, root / "images"):
        folders = [parent / name for name in sorted(list_names(parent)) if split_of(name)]
        found = {canonical(path.name): split for path in folders if (split := _of_folder(path)) is not None}
        if found:
            return found
    return {ALL: VocSplit(root, root, None)} if _is_mixed(root) else {}


def _of_folder(folder: Path) -> VocSplit | None:
    """A split that is a folder: XML beside images, or two folders."""
    if _is_mixed(folder):
        return VocSplit(folder, folder, None)
    pairs = ((folder / files, folder / images) for files, images in _FOLDERS)
    return next((VocSplit(files, images, None) for files, images in pairs if _has_xml(files)), None)


def _listed(root: Path, files: Path, images: Path) -> dict[str, VocSplit]:
    lists = root / "ImageSets" / "Main"
    names = _lists(lists)
    # Beside train.txt the devkit has a list a class, such as aeroplane_train.txt.
    plain = [name for name in names if "_" not in name or name.rpartition("_")[2] not in names]
    if plain in ([], ["default"]):  # CVAT lists all images under this name
        return {ALL: VocSplit(files, images, lists / "default.txt" if plain else None)}
    return {name: VocSplit(files, images, lists / f"{name}.txt") for name in plain}


def _lists(folder: Path) -> list[str]:
    return sorted(Path(name).stem for name in list_names(folder) if name.endswith(".txt"))


def _has_xml(folder: Path) -> bool:
    """Whether XML files are in ``folder`` or the folders in it."""
    inner = [folder, *(folder / name for name in sorted(list_names(folder)) if is_folder(folder / name))]
    return any(name.lower().endswith(".xml") for path in inner for name in list_names(path))


def _is_mixed(folder: Path) -> bool:
    names = list_names(folder)
    return any(name.lower().endswith(".xml") for name in names) and any(map(is_image, names))
