"""The files of a data set: each folder is listed once, however many formats and splits ask for it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.errors import InputError

logger = logging.getLogger("pocketvision")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".jpe", ".jfif", ".tif", ".tiff", ".gif", ".ppm",
                  ".pgm", ".jp2", ".avif", ".npy")  # fmt: skip
"""Pictures that are read."""

ARRAY_SUFFIX = ".npy"

UNREAD_SUFFIXES = (".heic", ".heif", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw", ".raw", ".exr", ".hdr",
                   ".jxl", ".tga", ".ico", ".dcm")  # fmt: skip
"""Pictures that are not read, and said to be so."""

_MAX_OTHERS, _OTHERS_AN_IMAGE = 200_000, 20
"""Files that are no images which a walk may meet, and how many more with every image."""
_JUNK = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")


class Listing(NamedTuple):
    """Names in a folder, sorted; without hidden ones, which are apart."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    hidden: tuple[str, ...] = ()


_EMPTY = Listing((), ())


class FileTree:
    """What lies below ``root``; ``given`` is the file that stands for the data set, None for the folder."""

    def __init__(self, root: Path, given: Path | None = None) -> None:
        self.root = root
        self.given = given
        self._listings: dict[str, Listing] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._num_images: dict[str, int] = {}
        self._below: dict[str, list[str]] = {}

    @classmethod
    def of(cls, place: str | Path) -> FileTree:
        """The tree of a folder, or of the folder in which a file lies."""
        path = Path(place).expanduser()
        return cls(path.parent, path) if not is_folder(path) and is_file(path) else cls(path)

    def listing(self, folder: Path | str) -> Listing:
        """The names in a folder; none if it is absent."""
        key = str(folder)
        if key not in self._listings:
            self._listings[key] = _list(key)
        return self._listings[key]

    def files(self, folder: Path, suffixes: tuple[str, ...] = ()) -> list[Path]:
        """Files in ``folder``, sorted; with one of the lower-case ``suffixes`` in any case, if any are."""
        names = self.listing(folder).files
        return [folder / name for name in names if not suffixes or name.lower().endswith(suffixes)]

    def images(self, folder: Path) -> list[Path]:
        """Pictures directly in ``folder``, sorted."""
        return [folder / name for name in picture_names(self.listing(folder).files)]

    def folders(self, folder: Path) -> list[Path]:
        """Folders in ``folder``, sorted."""
        return [folder / name for name in self.listing(folder).folders]

    def is_file(self, path: Path) -> bool:
        """Whether there is such a file, by the listing of its folder."""
        if path.name in (".", ".."):
            return False
        key = str(path.parent)
        names = self._names.get(key)
        if names is None:
            listing = self.listing(key)
            names = self._names[key] = frozenset(listing.files) | frozenset(listing.hidden)
        return path.name in names and (not path.name.startswith(".") or is_file(path))

    def child(self, folder: Path, *names: str) -> Path | None:
        """The first folder in ``folder`` that is called as one of ``names``, in whatever case."""
        present = {name.lower(): name for name in reversed(self.listing(folder).folders)}
        exact = self.listing(folder).folders
        for name in names:
            if name in exact:
                return folder / name
        return next((folder / present[name.lower()] for name in names if name.lower() in present), None)

    def walk(self, folder: Path | None = None) -> Iterator[tuple[Path, Listing]]:
        """Every folder from ``folder`` down, sorted, each once whatever links lead there.

        Raises:
            InputError: there is far more than images, as below the root of a disk.
        """
        start = folder or self.root
        seen: set[tuple[int, int]] = set()
        waiting, num_files, num_images = [start], 0, 0
        while waiting:
            place = waiting.pop()
            try:
                status = place.stat()
            except (OSError, ValueError):
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            listing = self.listing(place)
            num_files, num_images = num_files + len(listing.files), num_images + self._count_images(place)
            _check_amount(start, num_files, num_images)
            yield place, listing
            waiting += [place / name for name in reversed(listing.folders)]

    def _count_images(self, folder: Path) -> int:
        key = str(folder)
        if key not in self._num_images:
            names = self.listing(key).files
            self._num_images[key] = len(picture_names(names))
        return self._num_images[key]

    def images_below(self, folder: Path) -> list[Path]:
        """Pictures in ``folder`` and its subfolders, sorted by folder; hidden ones are skipped."""
        key = str(folder)
        if key not in self._below:
            self._below[key] = [
                f"{place}/{name}"
                for place, listing in self.walk(folder)
                for name in picture_names(listing.files)
            ]
        return [Path(path) for path in self._below[key]]


def _check_amount(folder: Path, num_files: int, num_images: int) -> None:
    if num_files > _MAX_OTHERS + _OTHERS_AN_IMAGE * num_images:
        raise InputError(
            f"{folder} holds more than {_MAX_OTHERS} files that are no images: name the data set's own "
            "folder."
        )


def _list(folder: str) -> Listing:
    files, folders, hidden = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _JUNK:
                    hidden.append(entry.name)
                elif _is_folder(entry):
                    folders.append(entry.name)
                elif not _is_device(entry):
                    files.append(entry.name)
    except (OSError, ValueError):  # absent, or a name that no folder can have
        return _EMPTY
    return Listing(tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(hidden)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_device(entry: os.DirEntry[str]) -> bool:
    """Whether it is a pipe, a socket or a device, also behind a link: opening one may wait for ever."""
    if entry.is_file(follow_symlinks=False):
        return False
    try:
        mode = entry.stat().st_mode
    except OSError:
        return False  # a link to nothing, which reading tells of
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return False
    logger.warning("skipped: %s is no file but a pipe, a socket or a device.", entry.path)
    return True


def picture_names(names: Sequence[str]) -> list[str]:
    """Those of the files of a folder that are pictures.

    An array of NumPy beside a picture of its name is what a program keeps of that picture, and no other one.
    """
    found = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    others = {name.rpartition(".")[0] for name in found if not name.lower().endswith(ARRAY_SUFFIX)}
    if not others or len(others) == len(found):
        return found
    return [
        name
        for name in found
        if not (name.lower().endswith(ARRAY_SUFFIX) and name[: -len(ARRAY_SUFFIX)] in others)
    ]


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """Those of ``paths``, of any folders, that are pictures, as :func:`picture_names` says."""
    return [Path(name) for name in picture_names([str(path) for path in paths])]


def is_image(name: str) -> bool:
    """Whether a file of this name is a picture that we read."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have (too long, a zero byte) is just absent."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, for names of any kind as in :func:`is_file`."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
