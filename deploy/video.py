"""Videos, cameras and streams: reading frames with OpenCV, and writing them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image
from pocketvision.core.structures import Size
from pocketvision.deploy.sources import Source

_TIMEOUT_MS = 10_000
_USUAL_RATE = 25.0
_CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))
"""What videos are written as: the first that this OpenCV can, which depends on how it was built."""


def read_video(source: Source) -> Iterator[tuple[Image, float]]:
    """The frames (H, W, 3) uint8 RGB of a video or stream, upright, each with the frames a second.

    Raises:
        InputError: it can't be opened, or has no frames.
    """
    capture = _open(source)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate <= 1000 else _USUAL_RATE
        is_read, frame = capture.read()
        if not is_read:
            raise InputError(f"{_describe(source)} has no frame that can be read: {_remedy(source)}.")
        while is_read:
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8), rate
            is_read, frame = capture.read()
    finally:
        capture.release()


def num_video_frames(source: Source) -> int | None:
    """What a video says of its length; None for streams, and for what can't be opened."""
    if source.kind == "stream":
        return None
    try:
        capture = _open(source)
    except InputError:
        return None
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count if count > 0 else None


def _open(source: Source) -> cv2.VideoCapture:
    with _silence():
        if source.name.isdecimal() and source.kind == "stream":
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
    return capture


@contextmanager
def _silence() -> Iterator[None]:
    """Our sentence is enough: OpenCV and FFmpeg print lines of their own otherwise."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when FFmpeg is first used
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _describe(source: Source) -> str:
    return f"Camera {source.name}" if source.name.isdecimal() else source.public_name


def _remedy(source: Source) -> str:
    if source.kind == "video":
        return "replace the file, or convert it to mp4"
    if source.name.isdecimal():
        return "connect it, close other programs that use it, or try another number"
    return "check the address and the network"


class VideoFile:
    """A video that is being written: ``path`` is where it will be, with the suffix that could be written.

    Used in a ``with`` statement; a file that was not finished is removed.

    Raises:
        InputError: OpenCV can write neither mp4 nor avi here.
    """

    def __init__(self, folder: Path, stem: str, rate: float, image_size: Size) -> None:
        self.image_size = image_size
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, codec in _CODECS:
            self.path = folder / f"{stem}{suffix}"
            self._temporary = folder / f".{stem}.{os.getpid()}.part{suffix}"
            code = cv2.VideoWriter.fourcc(*codec)
            with _silence():
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

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is None:
            self._temporary.replace(self.path)
        self._temporary.unlink(missing_ok=True)
