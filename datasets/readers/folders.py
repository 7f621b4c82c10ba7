"""Looking for files of a data set; every folder is listed once."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.records.annotations import MissingSplitError

logger = logging.getLogger("pocketvision")

_MAX_OTHERS, _OTHERS_AN_IMAGE = 200_000, 20
"""Files that are no images which a walk may meet, and how many more with every image."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def existing_root(root: str | Path) -> Path:
    """``root`` as a path.

    Raises:
        InputError: there is no such folder.
    """
    path = Path(root).expanduser()
    if not path.is_dir():
        raise InputError(f"There is no data folder {path}: set data.root to where the data set lies.")
    return path


def list_names(folder: Path) -> set[str]:
    """Names of the entries of ``folder``, one system call a chunk instead of one a file; empty if absent."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not _is_device(entry)}


def _is_device(entry: os.DirEntry[str]) -> bool:
    """Whether it is a pipe, a socket or a device, also behind a link: opening one may wait for ever."""
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
        return False
    try:
        mode = entry.stat().st_mode
    except OSError:
        return False  # a link to nothing, which reading tells of
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return False
    logger.warning("skipped: %s is no file but a pipe, a socket or a device.", entry.path)
    return True


def by_stem(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, str]:
    """Stem -> name of the files in ``folder`` with one of ``suffixes``, sorted by stem.

    Raises:
        InputError: two files differ only in their suffix.
    """
    stems: dict[str, str] = {}
    for name in sorted(list_names(folder), key=lambda name: (Path(name).stem, name)):
        path = Path(name)
        if path.suffix.lower() in suffixes and stems.setdefault(path.stem, name) != name:
            raise InputError(
                f"{folder} holds {stems[path.stem]} and {name}, which differ only in their suffix: "
                "remove or rename one."
            )
    return stems


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


def images_below(folder: Path) -> list[Path]:
    """Images in ``folder`` and its subfolders, sorted; names that begin with a dot are skipped.

    Raises:
        InputError: there is far more than images, as below the root of a disk.
    """
    return [parent / name for parent, names in walk(folder) for name in names if is_image(name)]


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """``folder`` and every folder below, each once whatever links lead there, with its files' names, sorted.

    Folders whose names begin with a dot are left out.

    Raises:
        InputError: there is far more than images, as below the root of a disk.
    """
    seen: set[tuple[int, int]] = set()
    waiting, num_files, num_images = [folder], 0, 0
    while waiting:
        parent = waiting.pop()
        try:
            status = parent.stat()
            with os.scandir(parent) as found:
                entries = sorted((entry for entry in found if not _is_device(entry)), key=lambda e: e.name)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = [entry.name for entry in entries if _is_folder(entry)]
        names = [entry.name for entry in entries if not _is_folder(entry)]
        num_files, num_images = num_files + len(names), num_images + sum(map(is_image, names))
        if num_files > _MAX_OTHERS + _OTHERS_AN_IMAGE * num_images:
            raise InputError(
                f"{folder} holds more than {_MAX_OTHERS} files that are no images: name the data set's own "
                "folder."
            )
        yield parent, names
        waiting += [parent / name for name in reversed(folders) if not name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def is_image(name: str) -> bool:
    """Whether a file of this name is an image that we look at."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def read_text(file: Path) -> str:
    """The text of a file, which may begin with a byte order mark.

    Raises:
        InputError: it is missing, or not UTF-8.
    """
    if file.exists() and not file.is_file():
        raise InputError(f"{file} is no file (a folder, pipe or device): replace it by a text file.")
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no UTF-8 text: save it as UTF-8, or replace it.") from None


def read_lines(file: Path) -> list[str]:
    """The lines that are not empty, stripped.

    Raises:
        InputError: the file is missing, or no UTF-8 text.
    """
    return [line.strip() for line in read_text(file).split("\n") if line.strip()]


def missing_split(where: Path, split: str, splits: Iterable[str]) -> MissingSplitError:
    """The error for a split that does not exist, with those that do."""
    known = ", ".join(sorted(splits)) or "none"
    return MissingSplitError(f"{where} has no split '{split}': it has {known}; name one of these.")


def empty_split(where: Path | str, split: str) -> InputError:
    """The error for a split without images."""
    return InputError(f"Split '{split}' has no images ({where}): add some, or name another split.")
