"""Where data sets in VOC's format keep their XML files, images and lists of splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import IMAGE_SUFFIXES, by_stem, empty_split, list_names, read_lines
from pocketvision.datasets.records.splits import ALL, canonical, split_of

_FOLDERS = (("Annotations", "JPEGImages"), ("Annotations", "images"), ("annotations", "images"))


@dataclass(frozen=True)
class VocSplit:
    """A split: its folders, and the list of its stems, or None where it is every XML file."""

    annotations: Path
    images: Path
    listing: Path | None

    def stems(self, split: str) -> list[str]:
        """Stems of the split's files.

        Raises:
            InputError: there are none.
        """
        lines = read_lines(self.listing) if self.listing else by_stem(self.annotations, (".xml",))
        stems = list(dict.fromkeys(lines))
        if not stems:
            raise empty_split(self.listing or self.annotations, split)
        return stems

    def check(self, stems: list[str], files: dict[str, Path], images: dict[str, str]) -> None:
        """Each stem has an XML file and an image.

        Raises:
            InputError: names the missing file and the list that asks for it.
        """
        for stem in stems:
            if stem not in files:
                missing = f"annotation {self.annotations / stem}.xml"
            elif stem not in images:
                missing = f"image {self.images / stem}.jpg (or {', '.join(IMAGE_SUFFIXES[1:])})"
            else:
                continue
            what = f"the line '{stem}' from {self.listing}" if self.listing else f"{files[stem]}"
            raise InputError(f"There is no {missing}: add it, or remove {what}.")


def voc_splits(root: Path) -> dict[str, VocSplit]:
    """Splits by ``ImageSets/Main``; without it all of ``Annotations``, or folders of images and XML files."""
    for files, images in _FOLDERS:
        if any(name.endswith(".xml") for name in list_names(root / files)):
            return _listed(root, root / files, root / images)
    lists = root / "ImageSets" / "Main"
    if lists.is_dir() and by_stem(lists, (".txt",)):
        return _listed(root, root / "Annotations", root / "JPEGImages")
    folders = [root / name for name in sorted(list_names(root)) if split_of(name)]
    found = {canonical(path.name): VocSplit(path, path, None) for path in folders if _is_mixed(path)}
    return found or ({ALL: VocSplit(root, root, None)} if _is_mixed(root) else {})


def _listed(root: Path, files: Path, images: Path) -> dict[str, VocSplit]:
    lists = root / "ImageSets" / "Main"
    names = list(by_stem(lists, (".txt",)))
    # Beside train.txt the devkit has a list a class, such as aeroplane_train.txt.
    plain = [name for name in names if "_" not in name or name.rpartition("_")[2] not in names]
    if not plain:
        return {ALL: VocSplit(files, images, None)}
    return {name: VocSplit(files, images, lists / f"{name}.txt") for name in plain}


def _is_mixed(folder: Path) -> bool:
    names = [name.lower() for name in list_names(folder)]
    return any(name.endswith(".xml") for name in names) and any(n.endswith(IMAGE_SUFFIXES) for n in names)
