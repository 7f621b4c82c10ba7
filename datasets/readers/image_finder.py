"""Where the image lies that an annotation names: exactly, or by what of its path and name is unique."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pocketvision.datasets.readers.tree import IMAGE_SUFFIXES, UNREAD_SUFFIXES, FileTree, picture_names
from pocketvision.datasets.readers.values import short_text
from pocketvision.datasets.records.kinds import IMAGE_ELSEWHERE, IMAGE_UNREADABLE
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import ALL, split_of

_MAX_NAME = 4096


class ImageFinder:
    """Finds images by the names that annotations state, first in ``folders``, then below the root.

    A name is tried as it is; then with backslashes as ``/`` and ``%20`` decoded; then, of all pictures below
    the root, by the longest end of its path that only one of them has, in any case; then without suffix.
    Folders of other splits are left alone: their image of the same name is another one.
    """

    def __init__(self, tree: FileTree, folders: Sequence[Path], split: str, notes: Notes) -> None:
        self.tree = tree
        self.folders = list(dict.fromkeys(folders))
        self.split = split
        self.notes = notes
        self._tails: dict[str, list[str]] | None = None
        self._stems: dict[str, list[str]] = {}

    def find(self, name: str, file: Path, where: str = "") -> Path | None:
        """The image that ``file`` names, or None; that it lies elsewhere than stated is told."""
        for folder in self.folders:
            if self._is_there(folder, name):
                return folder / name
        found = self._search(name)
        if found is not None:
            self.notes.add(
                IMAGE_ELSEWHERE,
                file,
                f"{file} names {short_text(name)}, which is {found}: correct the name if others read it.",
                where or short_text(name),
                found,
            )
        return found

    def _is_there(self, folder: Path, name: str) -> bool:
        if not name or len(name) > _MAX_NAME or "\0" in name:
            return False
        if "/" not in name and name not in (".", ".."):
            return self.tree.is_file(folder / name)
        # What a name's ".." leads to outside of the data set may be any file of the machine.
        return ".." not in Path(name).parts and self.tree.is_file(folder / name)

    def _search(self, name: str) -> Path | None:
        if not name or len(name) > _MAX_NAME or "\0" in name:
            return None
        for plain in dict.fromkeys((name.replace("\\", "/"), unquote(name).replace("\\", "/"))):
            parts = [part for part in PurePosixPath(plain).parts if part not in ("/", ".", "..")]
            if not parts:
                continue
            inner = "/".join(parts)
            for folder in self.folders:
                if self._is_there(folder, inner):
                    return folder / inner
            found = self._by_tail(parts) or self._by_stem(parts[-1])
            if found is not None:
                return Path(found)
        return None

    def _by_tail(self, parts: list[str]) -> str | None:
        """The picture whose path ends as ``parts`` do, further than any other's; None where two do."""
        candidates = self._index().get(parts[-1].lower(), [])
        exact = [path for path in candidates if path.endswith(f"/{parts[-1]}")]
        candidates = exact or candidates
        wanted = [part.lower() for part in reversed(parts)]
        best, found = 0, list[str]()
        for path in candidates:
            common = 0
            for own, part in zip(reversed(path.lower().split("/")), wanted, strict=False):
                if own != part:
                    break
                common += 1
            if common > best:
                best, found = common, [path]
            elif common == best:
                found.append(path)
        return found[0] if len(found) == 1 else None

    def _by_stem(self, name: str) -> str | None:
        """The picture of this name whatever its suffix, where only one has it."""
        self._index()
        lower = name.lower()
        suffix = next((s for s in (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES) if lower.endswith(s)), "")
        found = self._stems.get(lower.removesuffix(suffix), [])
        return found[0] if len(found) == 1 else None

    def _index(self) -> dict[str, list[str]]:
        """Lower-case name -> paths of all pictures below the root and the folders."""
        if self._tails is None:
            self._tails = {}
            for base in dict.fromkeys((self.tree.root, *self.folders)):
                for folder, listing in self.tree.walk(base):
                    if is_of_another_split(folder, self.tree.root, self.split):
                        continue
                    unread = (name for name in listing.files if name.lower().endswith(UNREAD_SUFFIXES))
                    for name in (*picture_names(listing.files), *unread):
                        self._add(f"{folder}/{name}", name.lower())
        return self._tails

    def _add(self, path: str, lower: str) -> None:
        assert self._tails is not None
        same = self._tails.setdefault(lower, [])
        if path not in same:
            same.append(path)
            self._stems.setdefault(lower.rpartition(".")[0], []).append(path)


def is_readable(path: str, file: Path, where: str, notes: Notes) -> bool:
    """Whether pictures of this suffix are read; of others, such as HEIC, it is told."""
    if not path.lower().endswith(UNREAD_SUFFIXES):
        return True
    sentence = (
        f"{file}, {where} names {short_text(Path(path).name)}, whose format can't be read: convert the "
        "pictures to JPEG or PNG and correct their names."
    )
    notes.add(IMAGE_UNREADABLE, file, sentence, where)
    return False


def is_of_another_split(folder: Path, root: Path, split: str) -> bool:
    """Whether a folder below ``root`` speaks of another split than ``split``, if that is one of the known."""
    if split == ALL or not folder.is_relative_to(root):
        return False
    own = split_of(split)
    spoken = [other for part in folder.relative_to(root).parts if (other := split_of(part))]
    wanted = ("train", "val", "trainval") if own == "trainval" else (own,)
    return own is not None and bool(spoken) and spoken[-1] not in wanted


def present_names(tree: FileTree, folder: Path) -> frozenset[str]:
    """Names of the files in a folder."""
    return frozenset(tree.listing(folder).files)
