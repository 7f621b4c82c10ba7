"""What to predict on: images, folders, patterns, videos, cameras, streams, stdin -> a list of sources."""

from __future__ import annotations

import glob
import logging
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.tree import IMAGE_SUFFIXES, picture_files

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".mjpeg")
_URL_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp")
_HEIC = (".heic", ".heif", ".hif")
_MOST_SUFFIXES = 6
_log = logging.getLogger("pocketvision")


@dataclass(frozen=True)
class Source:
    """One image, video or stream.

    ``name`` is its path, address or camera number; ``data`` the bytes of an image that came through stdin.
    """

    kind: Literal["image", "video", "stream"]
    name: str
    data: bytes | None = None

    @property
    def path(self) -> Path | None:
        """Its file, if it has one."""
        return Path(self.name) if self.data is None and not self.is_remote else None

    @property
    def is_remote(self) -> bool:
        """Whether it is read from a camera or an address."""
        return self.kind == "stream" or _address(self.name) is not None

    @property
    def public_name(self) -> str:
        """Its name as it may be shown and written: without the password of an address, and without bytes
        that are no UTF-8, line breaks and codes that a terminal would obey."""
        parts = _address(self.name)
        name = self.name
        if parts is not None:
            name = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return "".join(_shown(letter) for letter in name)

    @property
    def stem(self) -> str:
        """What files about it may be called."""
        path = self.path
        if path is not None:
            return path.stem
        if self.name.isdecimal():
            return f"camera_{self.name}"
        parts = _address(self.public_name)
        name = self.name if parts is None else f"{parts.hostname or ''}_{Path(parts.path).stem}"
        return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in name).strip("._")


def _address(text: str) -> SplitResult | None:
    """The parts of an address; None for what is a path, and for what only begins like an address."""
    if "://" not in text:
        return None
    try:
        parts = urlsplit(text)
        return parts if parts.scheme in _URL_SCHEMES and parts.hostname is not None else None
    except ValueError:
        return None


def _shown(letter: str) -> str:
    if unicodedata.category(letter) not in ("Cc", "Cs"):
        return letter
    code = ord(letter)  # bytes that are no UTF-8 are lone surrogates from U+DC80 on
    return f"\\x{code & 0xFF if code >= 0xDC80 else code:02x}"


def find_sources(arguments: Sequence[str], output: Path | None = None) -> list[Source]:
    """The sources that words of a command line stand for.

    A folder gives all images and videos below it in order of their names, without what lies in
    ``output``; a pattern (``"shots/*.jpg"``, ``**`` for any depth) those that match; a number is a
    camera; an address is a stream, or an image by its suffix; ``-`` reads stdin: the bytes of an
    image, or a path a line. No file is taken twice. Files that are neither images nor videos are counted in
    a line of the log.

    Raises:
        InputError: a file, or anything to predict on, is missing.
    """
    sources = [source for argument in arguments for source in _expand(argument, output)]
    unique: dict[tuple[str | Path, bytes | None], Source] = {}
    for source in sources:
        place = source.name if source.path is None else source.path.resolve()
        unique.setdefault((place, source.data), source)
    return list(unique.values())


def find_video(name: str | Path | int) -> Source:
    """The one video, stream or camera of that name.

    Raises:
        InputError: it is something else.
    """
    sources = [] if str(name) == "-" else find_sources([str(name)])
    if len(sources) != 1 or sources[0].kind == "image":
        raise InputError(f"{name} is no video, address or number of a camera: images go to predict().")
    return sources[0]


def _expand(argument: str, output: Path | None) -> list[Source]:
    path = Path(argument)
    if argument == "-":
        return _from_stdin(output)
    if argument.partition("://")[0].lower() in _URL_SCHEMES and "://" in argument:
        address = _address(argument)
        if address is None:
            raise InputError(f"{argument} is no address that can be read: check its host and brackets.")
        is_image = Path(address.path).suffix.lower() in IMAGE_SUFFIXES
        return [Source("image" if is_image else "stream", argument)]
    if path.is_dir():
        return _from_folder(path, output)
    if path.is_file():
        return [_of_file(path)]
    if argument.isdecimal():
        return [Source("stream", argument)]
    if glob.has_magic(argument):
        found = sorted(Path(name) for name in glob.glob(argument, recursive=True))  # noqa: PTH207
        files = [file for file in found if file.is_file()]
        media, others = _media(files)
        if media:
            _tell_left_out(argument, others)
            return [_of_file(file) for file in media]
        raise InputError(f"No image or video matches {argument}: check the pattern.")
    raise InputError(f"There is no image, video or folder {argument}: check the path.")


def _of_file(path: Path) -> Source:
    return Source("video" if path.suffix.lower() in VIDEO_SUFFIXES else "image", str(path))


def _media(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The images and videos of ``files``, and the others."""
    images = set(picture_files(files))
    is_medium = [file in images or file.suffix.lower() in VIDEO_SUFFIXES for file in files]
    parts = ([f for f, own in zip(files, is_medium, strict=True) if own is part] for part in (True, False))
    return next(parts), next(parts)


def _from_folder(folder: Path, output: Path | None) -> list[Source]:
    own = None if output is None else output.resolve()
    if own == folder.resolve():
        raise InputError(f"--output {output} is the folder of the images: choose another one.")
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not _is_hidden(file.relative_to(folder))
    ]
    if own is not None and own.is_relative_to(folder.resolve()):
        files = [file for file in files if not file.resolve().is_relative_to(own)]
    media, others = _media(files)
    if not media:
        found = f" ({_by_suffix(others)} files)" if others else ""
        raise InputError(f"{folder} holds no images or videos{found}: give a folder that does.")
    _tell_left_out(str(folder), others)
    return [_of_file(file) for file in media]


def _tell_left_out(place: str, files: Sequence[Path]) -> None:
    if not files:
        return
    noun = "file is" if len(files) == 1 else "files are"
    _log.warning(
        "%s: %d %s left out, as neither image nor video that is known: %s.%s",
        place, len(files), noun, _by_suffix(files),
        " Convert HEIC pictures to JPEG." if any(file.suffix.lower() in _HEIC for file in files) else "",
    )  # fmt: skip


def _by_suffix(files: Sequence[Path]) -> str:
    counts = Counter(file.suffix.lower() or "no suffix" for file in files).most_common()
    listed = [f"{count} {''.join(map(_shown, suffix))}" for suffix, count in counts[:_MOST_SUFFIXES]]
    return ", ".join([*listed, "..."] if len(counts) > _MOST_SUFFIXES else listed)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _from_stdin(output: Path | None) -> list[Source]:
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise InputError("Nothing came through stdin: pipe an image or a list of paths into the command.")
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        return [Source("image", "stdin", data)]
    if "\0" in lines[0]:
        return [Source("image", "stdin", data)]
    return [
        source for line in lines if line.strip() not in ("", "-") for source in _expand(line.strip(), output)
    ]
