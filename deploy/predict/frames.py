"""Sources -> pictures, one after the other; what can't be read is reported and skipped."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, Image, PixelFormat
from pocketvision.datasets.images.bands import decode_pixels, read_pixels
from pocketvision.deploy.predict.remote import fetch
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.video import num_video_frames, read_video


class SourceFrame(NamedTuple):
    """A picture (H, W, 3) RGB, upright; ``number`` is its place in a video or stream of ``rate`` a second."""

    source: Source
    image: Image
    number: int | None = None
    rate: float = 0.0


def read_frames(
    sources: Sequence[Source],
    failed: Callable[[str], None],
    max_frames: int | None = None,
    pixels: PixelFormat = RGB,
) -> Iterator[SourceFrame]:
    """All pictures, at most ``max_frames`` of each video or stream.

    ``failed`` gets a sentence for each source that can't be read to its end, and for videos where a model
    takes other ``pixels`` than they have.
    """
    for source in sources:
        try:
            if source.kind == "image":
                yield SourceFrame(source, _read_source(source, pixels))
                continue
            if pixels != RGB:
                raise InputError(
                    f"{source.public_name} is a video of 8-bit RGB, which this model does not take."
                )
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


def _read_source(source: Source, pixels: PixelFormat) -> Image:
    if source.data is not None:
        return decode_pixels(source.data, source.name, pixels)
    if not source.is_remote:
        try:
            return read_pixels(source.name, pixels).pixels
        except InputError as error:
            raise InputError(str(error).replace(source.name, source.public_name)) from None
    data = io.BytesIO()
    fetch(source, data)
    return decode_pixels(data.getvalue(), source.public_name, pixels)
