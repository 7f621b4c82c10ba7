"""The image with the stem of an annotation: beside it or in the folder of images, then anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pocketvision.datasets.readers.image_finder import ImageFinder
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.kinds import SAME_STEM
from pocketvision.datasets.records.notes import Notes


class ImageStems:
    """Finds images of one split by their stems; every folder is looked through once."""

    def __init__(self, tree: FileTree, split: str, notes: Notes) -> None:
        self.tree, self.notes = tree, notes
        self.finder = ImageFinder(tree, [tree.root], split, notes)
        self._of_folder: dict[Path, dict[str, Path]] = {}

    def find(self, stem: str, folders: Sequence[Path], file: Path) -> Path | None:
        """The image of ``file``, whose stem is ``stem``: the one in the first folder that has it."""
        for folder in folders:
            found = self.of_folder(folder).get(stem)
            if found is not None:
                return found
        return self.finder.find(f"{stem}.jpg", file)

    def of_folder(self, folder: Path) -> dict[str, Path]:
        """Stem -> image in ``folder``; of two that differ only in their suffix the first, which is told."""
        if folder not in self._of_folder:
            self._of_folder[folder] = unique_stems(self.tree.images(folder), folder, self.notes)
        return self._of_folder[folder]


def unique_stems(images: Iterable[Path], folder: Path, notes: Notes) -> dict[str, Path]:
    """Stem -> the first of the ``images`` in ``folder`` that has it; the others are told."""
    stems: dict[str, Path] = {}
    for path in images:
        first = stems.setdefault(path.stem, path)
        if first != path:
            sentence = (
                f"{folder} holds {first.name} and {path.name}, which differ only in their suffix: remove or "
                "rename one."
            )
            notes.add(SAME_STEM, path, sentence, path.name)
    return stems
