"""What to predict on: images, folders, patterns, videos, cameras, streams, stdin -> a list of sources."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pocketvision.core.errors import InputError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff",
    ".gif", ".jp2", ".ppm", ".pgm", ".avif",
)  # fmt: skip
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".mjpeg")
_URL_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp")


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
        return self.kind == "stream" or urlsplit(self.name).scheme in _URL_SCHEMES

    @property
    def public_name(self) -> str:
        """Its name without the password of an address: what may be shown and written."""
        if not self.is_remote:
            return self.name
        parts = urlsplit(self.name)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def stem(self) -> str:
        """What files about it may be called."""
        path = self.path
        if path is not None:
            return path.stem
        if self.name.isdecimal():
            return f"camera_{self.name}"
        parts = urlsplit(self.public_name)
        name = f"{parts.hostname or ''}_{Path(parts.path).stem}" if parts.scheme else self.name
        return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in name).strip("._")


def find_sources(arguments: Sequence[str], output: Path | None = None) -> list[Source]:
    """The sources that words of a command line stand for.

    A folder gives all images and videos below it in order of their names, without what lies in
    ``output``; a pattern (``"shots/*.jpg"``, ``**`` for any depth) those that match; a number is a
    camera; an address is a stream, or an image by its suffix; ``-`` reads stdin: the bytes of an
    image, or a path a line. No file is taken twice.

    Raises:
        InputError: a file, or anything to predict on, is missing.
    """
    sources = [source for argument in arguments for source in _expand(argument, output)]
    unique: dict[tuple[str | Path, bytes | None], Source] = {}
    for source in sources:
        place = source.name if source.path is None else source.path.resolve()
        unique.setdefault((place, source.data), source)
    return list(unique.values())


def _expand(argument: str, output: Path | None) -> list[Source]:
    path = Path(argument)
    if argument == "-":
        return _from_stdin(output)
    if urlsplit(argument).scheme in _URL_SCHEMES and "://" in argument:
        is_image = Path(urlsplit(argument).path).suffix.lower() in IMAGE_SUFFIXES
        return [Source("image" if is_image else "stream", argument)]
    if path.is_dir():
        return _from_folder(path, output)
    if path.is_file():
        return [_of_file(path)]
    if argument.isdecimal():
        return [Source("stream", argument)]
    if glob.has_magic(argument):
        found = sorted(Path(name) for name in glob.glob(argument, recursive=True))  # noqa: PTH207
        files = [file for file in found if file.is_file() and _is_medium(file)]
        if files:
            return [_of_file(file) for file in files]
        raise InputError(f"No image or video matches {argument}: check the pattern.")
    raise InputError(f"There is no image, video or folder {argument}: check the path.")


def _of_file(path: Path) -> Source:
    return Source("video" if path.suffix.lower() in VIDEO_SUFFIXES else "image", str(path))


def _is_medium(path: Path) -> bool:
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def _from_folder(folder: Path, output: Path | None) -> list[Source]:
    own = None if output is None else output.resolve()
    if own == folder.resolve():
        raise InputError(f"--output {output} is the folder of the images: choose another one.")
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if _is_medium(file) and file.is_file() and not _is_hidden(file.relative_to(folder))
    ]
    if own is not None and own.is_relative_to(folder.resolve()):
        files = [file for file in files if not file.resolve().is_relative_to(own)]
    if not files:
        raise InputError(f"{folder} holds no images or videos: give a folder that does.")
    return [_of_file(file) for file in files]


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
