"""Which file an annotation means, where its name is not simply that of a file in the image folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import images_below, is_file, list_names

UNREADABLE = (".heic", ".heif", ".cr2", ".nef", ".arw", ".dng")
"""Pictures of phones and cameras that nothing here decodes."""


class ImageNames:
    """Names of images -> files: in ``folder``, else by the end of their path anywhere below ``root``.

    Names may have backslashes, percent codes, another machine's folders, or another case; what they end
    with must mean one file.
    """

    def __init__(self, root: Path, folder: Path | None) -> None:
        self.root, self.folder = root, folder
        self._present = set() if folder is None else list_names(folder)
        self._by_name: dict[str, list[Path]] | None = None
        self.num_searched = 0

    def find(self, name: str, place: str) -> Path:
        """The file that ``name`` means; ``place`` says in an error what names it.

        Raises:
            InputError: there is no such file, several are meant alike, or it can't be read.
        """
        if Path(name).suffix.lower() in UNREADABLE:
            raise InputError(
                f"{place} names {name}, whose format can't be read: convert the pictures to JPEG or PNG and "
                "correct their names."
            )
        if self.folder is not None and (name in self._present or self._is_below(name)):
            return self.folder / name
        self.num_searched += 1
        found = self._ending(name)
        if len(found) == 1:
            return found[0]
        if not found:
            where = f"nowhere below {self.root}" if self.folder is None else f"not in {self.folder}"
            raise InputError(
                f"{place} names {name}, which is {where}: add the image, or remove it from the annotations."
            )
        raise InputError(
            f"{place} names {name}, which could be {found[0]} or {found[1]}: give its folder, or rename one."
        )

    def _is_below(self, name: str) -> bool:
        return "/" in name and self.folder is not None and is_file(self.folder / name)

    def _ending(self, name: str) -> Sequence[Path]:
        """The files whose path ends as the name does: the longest ending that any has decides."""
        parts = _parts(name)
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for path in images_below(self.root):
                self._by_name[path.name.casefold()].append(path)
        found = self._by_name.get(parts[-1], []) if parts else []
        for count in range(2, len(parts) + 1):
            longer = [path for path in found if _parts(path.as_posix())[-count:] == parts[-count:]]
            if not longer:
                break
            found = longer
        return found


def _parts(name: str) -> list[str]:
    """Folders and file of a path of any system, in small letters."""
    path = unquote(name).replace("\\", "/")
    return [part.casefold() for part in PurePosixPath(path).parts if part not in ("/", ".", "..")]
