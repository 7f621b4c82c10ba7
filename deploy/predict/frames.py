"""Sources -> pictures, one after the other; what can't be read is reported and skipped."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image
from pocketvision.deploy.predict.remote import fetch
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.video import num_video_frames, read_video, silence

_TAIL = 64
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
"""First bytes of JPEG and PNG files -> what stands at the end of whole ones."""


class SourceFrame(NamedTuple):
    """A picture (H, W, 3) RGB, upright; ``number`` is its place in a video or stream of ``rate`` a second."""

    source: Source
    image: Image
    number: int | None = None
    rate: float = 0.0


def read_frames(
    sources: Sequence[Source], failed: Callable[[str], None], max_frames: int | None = None
) -> Iterator[SourceFrame]:
    """All pictures, at most ``max_frames`` of each video or stream.

    ``failed`` gets a sentence for each source that can't be read to its end.
    """
    for source in sources:
        try:
            if source.kind == "image":
                yield SourceFrame(source, _read_source(source))
                continue
            for number, (image, rate) in enumerate(islice(read_video(source), max_frames)):
                yield SourceFrame(source, image, number, rate)
        except InputError as error:
            failed(str(error))


def count_frames(sources: Sequence[Source], max_frames: int | None = None) -> int | None:
    """How many pictures :func:`read_frames` will give; None where a stream or video does not say."""
    total = 0
    for source in sources:
        count = 1 if source.kind == "image" else num_video_frames(source)
        if source.kind != "image" and max_frames is not None:
            count = max_frames if count is None else min(count, max_frames)
        if count is None:
            return None
        total += count
    return total


def read_picture(path: str | Path) -> Image:
    """An image file as (H, W, 3) uint8 RGB, turned upright if its EXIF says so.

    Raises:
        InputError: it is missing, truncated or no image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path} can't be opened ({reason}): check the path.") from None
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str) -> Image:
    """The bytes of an image file as (H, W, 3) uint8 RGB, turned upright if its EXIF says so.

    Raises:
        InputError: they are truncated or no image; the sentence says ``name``.
    """
    if not data:
        raise InputError(f"{name} is empty: replace it.")
    _refuse_truncated(data, name)
    try:
        with silence():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is not None:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    try:  # formats that only Pillow knows
        with PillowImage.open(io.BytesIO(data)) as picture:
            return from_pillow(picture)
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError):
        raise InputError(f"{name} can't be read as an image: replace it.") from None


def from_pillow(picture: PillowImage.Image) -> Image:
    """A Pillow image as (H, W, 3) uint8 RGB, turned upright if its EXIF says so."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):  # Pillow would clip at 255
        upright = PillowImage.fromarray((np.array(upright) >> 8).astype(np.uint8))
    return np.array(upright.convert("RGB"))


def _refuse_truncated(data: bytes, name: str) -> None:
    """OpenCV fills the missing part of a truncated file with grey and says nothing."""
    end = _ENDS.get(data[:2])
    if end is None or end in data[-_TAIL:]:
        return
    try:
        with PillowImage.open(io.BytesIO(data)) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError):
        raise InputError(f"{name} is truncated or broken: replace it.") from None


def _read_source(source: Source) -> Image:
    if source.data is not None:
        return decode_picture(source.data, source.name)
    if not source.is_remote:
        return read_picture(source.name)
    data = io.BytesIO()
    fetch(source, data)
    return decode_picture(data.getvalue(), source.public_name)
