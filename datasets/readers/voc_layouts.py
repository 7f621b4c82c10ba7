"""Where data sets in VOC's format keep their XML files, images and lists of splits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.one_file import by_split, head
from pocketvision.datasets.readers.text import read_lines
from pocketvision.datasets.readers.tree import IMAGE_SUFFIXES, FileTree
from pocketvision.datasets.records.splits import canonical

XML_FOLDERS = ("Annotations", "annotations", "labels", "xml", "xmls", "bboxes", "label", "anno")
IMAGE_FOLDERS = ("JPEGImages", "images", "data", "imgs", "img", "image", "photos", "pictures", "pics")
_VOC_ROOT = re.compile(rb"<(?:\w+:)?annotation[\s>/]")
_PEEK, _SAMPLE = 2048, 5


@dataclass(frozen=True)
class VocSplit:
    """A split: its list of names, or None where it is all of ``files``."""

    files: tuple[Path, ...]
    listing: Path | None = None


@dataclass(frozen=True)
class VocLayout:
    """XML files of a data set, sorted, and the splits that lists or folders make of them.

    ``labels`` are the names of the objects of each file, once it is read: all splits share their classes.
    """

    files: tuple[Path, ...]
    splits: dict[str, VocSplit]
    labels: dict[Path, set[str]] = field(default_factory=dict)

    @cached_property
    def rank(self) -> dict[Path, int]:
        """The number of each file, from 1, so that ids agree between splits."""
        return {file: i for i, file in enumerate(self.files, start=1)}


def find_voc(tree: FileTree) -> VocLayout | None:
    """Splits by ``ImageSets/Main``; without it by the folders of XML files. None for a single file."""
    if tree.given is not None:
        return None
    sets = tree.child(tree.root, "ImageSets")
    lists = tree.child(sets, "Main") if sets is not None else None
    listings = _listings(tree, lists) if lists is not None else []
    files = _xml_files(tree)
    if listings and not files and tree.child(tree.root, *XML_FOLDERS) is None:
        return None
    if listings:
        return VocLayout(files, {canonical(file.stem): VocSplit(files, file) for file in listings})
    if not files:
        return None
    splits = by_split(files, tree.root)
    return VocLayout(files, {split: VocSplit(tuple(own)) for split, own in splits.items()})


def listed_names(listing: Path) -> list[str]:
    """The names in a list of a split, each once.

    Lines may end with the flag 1, 0 or -1 of the devkit's lists of a class, or be paths of images.
    """
    names = []
    for line in read_lines(listing):
        name, _, flag = line.rpartition(" ")
        plain = name.strip() if flag in ("1", "0", "-1") and name.strip() else line
        plain = plain.replace("\\", "/")
        lower = plain.lower()
        suffix = next((s for s in IMAGE_SUFFIXES if lower.endswith(s)), "")
        names.append(plain[: len(plain) - len(suffix)] if suffix else plain)
    return list(dict.fromkeys(names))


def file_of_name(layout: VocLayout) -> dict[str, Path]:
    """Stem -> XML file, and path below its folder -> XML file, without suffixes."""
    files: dict[str, Path] = {}
    for file in layout.files:
        stem = xml_stem(file)
        files.setdefault(stem, file)
        for count in range(2, min(6, len(file.parts))):
            files.setdefault("/".join((*file.parts[-count:-1], stem)), file)
    return files


def xml_stem(file: Path) -> str:
    """``a`` for ``a.xml`` and for ``a.jpg.xml``."""
    stem = file.stem
    inner = Path(stem)
    return inner.stem if inner.suffix.lower() in IMAGE_SUFFIXES else stem


def image_folders_of(file: Path, tree: FileTree) -> list[Path]:
    """Folders in which the image of an XML file may lie: beside it, or below a folder of images instead."""
    folders = [file.parent]
    inside = file.parent.relative_to(tree.root).parts if file.parent.is_relative_to(tree.root) else ()
    for depth, part in enumerate(inside):
        if part.lower() not in {name.lower() for name in XML_FOLDERS}:
            continue
        parent = tree.root.joinpath(*inside[:depth])
        rest = [name for name in inside[depth + 1 :] if name.lower() not in ("xmls", "xml")]
        for name in IMAGE_FOLDERS:
            images = tree.child(parent, name)
            if images is not None:
                folders.append(images.joinpath(*rest))
    return folders


def _xml_files(tree: FileTree) -> tuple[Path, ...]:
    """XML files of annotations, wherever they lie: by the beginning of some of each folder."""
    found: list[Path] = []
    for folder, _ in tree.walk():
        files = tree.files(folder, (".xml",))
        if files and _are_voc(files, is_expected=folder.name.lower() == "annotations"):
            found += files
    return tuple(found)


def _are_voc(files: list[Path], *, is_expected: bool) -> bool:
    step = max(1, len(files) // _SAMPLE)
    heads = [head(file)[:_PEEK] for file in files[::step][:_SAMPLE]]
    if any(_VOC_ROOT.search(head) for head in heads):
        return True
    # Broken ones are named where only annotations are expected; CVAT's file of all images is another format.
    return is_expected and not any(b"<annotations" in head for head in heads)


def _listings(tree: FileTree, lists: Path) -> list[Path]:
    """Lists of splits; beside train.txt the devkit has a list a class, such as aeroplane_train.txt."""
    files = tree.files(lists, (".txt",))
    names = {file.stem for file in files}
    return [file for file in files if "_" not in file.stem or file.stem.rpartition("_")[2] not in names]


def check_listing(listing: Path, names: list[str], split: str) -> None:
    """Refuse an empty list.

    Raises:
        InputError: it is.
    """
    if not names:
        raise InputError(f"Split '{split}' has no images ({listing}): add some, or name another split.")
