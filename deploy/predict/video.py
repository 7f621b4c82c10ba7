"""Videos, cameras and streams: reading frames with OpenCV, and writing them."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.files import temporary_beside
from pocketvision.core.resize import Image
from pocketvision.core.structures import Size
from pocketvision.deploy.predict.remote import fetch
from pocketvision.deploy.predict.sources import VIDEO_SUFFIXES, Source

_TIMEOUT_MS = 10_000
_USUAL_RATE = 25.0
_INEXACT = 0.02
"""Share of its frames by which a video may err that is whole: some state their length in seconds only."""
_CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))
"""What videos are written as: the first that this OpenCV can, which depends on how it was built."""


def read_video(source: Source) -> Iterator[tuple[Image, float]]:
    """The frames (H, W, 3) uint8 RGB of a video or stream, upright, each with the frames a second.

    Raises:
        InputError: it can't be opened, has no frames, falls silent, or ends before it should.
    """
    with _downloaded(source) as local, _open(local) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate <= 1000 else _USUAL_RATE
        stated, num_read = capture.get(cv2.CAP_PROP_FRAME_COUNT), 0
        frame = _next_frame(capture)
        if frame is None:
            raise InputError(f"{_describe(source)} has no frame that can be read: {_remedy(source)}.")
        while frame is not None:
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), rate
            num_read += 1
            asked = time.monotonic()
            frame = _next_frame(capture)
        is_silent = local.kind == "stream" and time.monotonic() - asked >= _TIMEOUT_MS / 1000
        if is_silent or _is_camera(source):
            raise InputError(f"{_describe(source)} stopped sending: {_remedy(source)}.")
        if local.kind == "video" and stated - num_read > max(1.0, _INEXACT * stated):
            raise InputError(
                f"{_describe(source)} ends after {num_read} of the {stated:.0f} frames that it states, "
                "which are kept: replace the file if it was cut off."
            )


def _next_frame(capture: cv2.VideoCapture) -> npt.NDArray[Any] | None:
    with silence():
        is_read, frame = capture.read()
    return frame if is_read else None


@contextmanager
def _downloaded(source: Source) -> Iterator[Source]:
    """The source; where it is a video file that its server only sends from the start, a copy of it.

    The table of contents of an mp4 file is often at its end.
    """
    if source.kind != "stream":
        yield source
        return
    address = urlsplit(source.name)
    if address.scheme not in ("http", "https") or Path(address.path).suffix.lower() not in VIDEO_SUFFIXES:
        yield source
        return
    with _open(source) as capture:
        can_be_read = _next_frame(capture) is not None
    if can_be_read:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="pocketvision-video-") as folder:
        path = Path(folder) / Path(address.path).name
        with path.open("wb") as file:
            fetch(source, file)
        yield Source("video", str(path))


def num_video_frames(source: Source) -> int | None:
    """What a video says of its length; None for streams, and for what can't be opened."""
    if source.kind == "stream":
        return None
    try:
        with _open(source) as capture:
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    except InputError:
        return None
    return count if count > 0 else None


@contextmanager
def _open(source: Source) -> Iterator[cv2.VideoCapture]:
    with silence():
        if _is_camera(source):
            capture = cv2.VideoCapture(int(source.name))
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what is seen is now
        elif source.kind == "stream":
            limits = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                _TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                _TIMEOUT_MS,
            ]
            capture = cv2.VideoCapture(source.name, cv2.CAP_FFMPEG, limits)
        else:
            capture = cv2.VideoCapture(source.name)
    if not capture.isOpened():
        raise InputError(f"{_describe(source)} can't be opened: {_remedy(source)}.")
    try:
        yield capture
    finally:
        capture.release()


@contextmanager
def silence() -> Iterator[None]:
    """Our sentence is enough: OpenCV and FFmpeg print lines of their own otherwise."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when FFmpeg is first used
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _is_camera(source: Source) -> bool:
    return source.kind == "stream" and source.name.isdecimal()


def _describe(source: Source) -> str:
    return f"Camera {source.name}" if _is_camera(source) else source.public_name


def _remedy(source: Source) -> str:
    if source.kind == "video":
        return "replace the file, or convert it to mp4"
    if _is_camera(source):
        return "connect it, close other programs that use it, or try another number"
    return "check the address and the network"


class VideoFile:
    """A video that is being written: ``path`` is where it will be, with the suffix that could be written.

    Used in a ``with`` statement; a file that was not finished is removed.

    Raises:
        InputError: OpenCV can write neither mp4 nor avi here.
        OSError: at the end, where the disk did not take all of it, of which OpenCV says nothing.
    """

    def __init__(self, folder: Path, stem: str, rate: float, image_size: Size) -> None:
        self.image_size, self.num_frames = image_size, 0
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, codec in _CODECS:
            self.path = folder / f"{stem}{suffix}"
            self._temporary = temporary_beside(self.path, suffix)
            code = cv2.VideoWriter.fourcc(*codec)
            with silence():
                self._writer = cv2.VideoWriter(str(self._temporary), code, rate, image_size[::-1])
            if self._writer.isOpened():
                return
            self._temporary.unlink(missing_ok=True)
        raise InputError(
            f"This OpenCV can write no video to {folder}: pip install opencv-python-headless, "
            "or leave images out of --format."
        )

    def add(self, image: Image) -> None:
        """Append a frame (H, W, 3) RGB; one of another size is resized to the first."""
        if image.shape[:2] != self.image_size:
            image = np.asarray(cv2.resize(image, self.image_size[::-1]), dtype=np.uint8)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.num_frames += 1

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        try:
            if kind is None:
                self._check()
                self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _check(self) -> None:
        count = num_video_frames(Source("video", str(self._temporary)))
        if self.num_frames and count != self.num_frames:
            raise OSError(
                errno.ENOSPC, f"{count or 'none'} of {self.num_frames} frames were written", str(self.path)
            )
