"""What a ranking needs of each picture: the model's doubt, its features and a thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn

from pocketvision.core.drawing import false_color
from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress
from pocketvision.core.resize import Image
from pocketvision.datasets.images.likeness import Thumbnail, shrink
from pocketvision.datasets.tiles.picture import cut_out
from pocketvision.deploy.predict.frames import SourceFrame, read_frames
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.rank.doubt import doubts
from pocketvision.models import Detector, VisionModel


class Looks(NamedTuple):
    """N pictures: their files, doubts (N, K) and features (N, D) float32, and thumbnails (N, 16, 18)."""

    sources: list[Source]
    doubts: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    thumbnails: npt.NDArray[np.uint8]


def look_at_pictures(
    model: VisionModel, sources: Sequence[Source], device: torch.device, batch_size: int
) -> tuple[Looks, list[str]]:
    """Show all pictures to the model; sentences about those that can't be read come beside the rest.

    Raises:
        InputError: not one can be read.
    """
    failures: list[str] = []
    progress = Progress("look", len(sources), "images")

    def failed(sentence: str) -> None:
        failures.append(sentence)
        progress.say(f"skipped: {sentence}")

    look = BatchLook(model.to(device).eval(), device, batch_size)
    seen: list[Source] = []
    rows: list[tuple[Tensor, Tensor]] = []
    thumbnails: list[Thumbnail] = []
    with progress:
        for batch in _batches(read_frames(sources, failed, pixels=model.resize.pixels), batch_size):
            rows.append(look(batch))
            seen += [frame.source for frame in batch]
            thumbnails += [shrink(PillowImage.fromarray(false_color(frame.image))) for frame in batch]
            progress.advance(len(seen) + len(failures) - progress.done)
    if not seen:
        raise InputError(f"None of {len(sources)} pictures could be read: give a folder of pictures.")
    by_class, features = (torch.cat(parts).numpy() for parts in zip(*rows, strict=True))
    return Looks(seen, by_class, features, np.stack(thumbnails)), failures


class BatchLook:
    """Frames -> doubts (N, K) and features (N, D), the means of all maps that the head reads.

    A model that was trained in tiles sees ``batch_size`` tiles at a time; features of a frame are then the
    means of its tiles, and so are doubts about pixels, while those about boxes add up.
    """

    def __init__(self, model: VisionModel, device: torch.device, batch_size: int) -> None:
        self.model, self.device, self.batch_size = model, device, batch_size

    def __call__(self, frames: Sequence[SourceFrame]) -> tuple[Tensor, Tensor]:
        tiling = self.model.resize.tiling
        if tiling is None:
            return self._look([frame.image for frame in frames])
        rows = []
        for image in (frame.image for frame in frames):
            tiles = [cut_out(image, window) for window in tiling.windows(image.shape[:2])]
            starts = range(0, len(tiles), self.batch_size)
            parts = [self._look(tiles[start : start + self.batch_size]) for start in starts]
            doubt, features = (torch.cat(some) for some in zip(*parts, strict=True))
            total = doubt.sum(dim=0) if isinstance(self.model, Detector) else doubt.mean(dim=0)
            rows.append((total, features.mean(dim=0)))
        doubt, features = (torch.stack(some) for some in zip(*rows, strict=True))
        return doubt, features

    @torch.inference_mode()
    def _look(self, pictures: Sequence[Image]) -> tuple[Tensor, Tensor]:
        resized = np.stack([self.model.resize.apply(picture) for picture in pictures])
        images = torch.from_numpy(resized.transpose(0, 3, 1, 2).copy()).to(self.device)
        maps: list[Tensor] = []
        keep: Callable[..., None] = lambda module, inputs, features: maps.extend(features.values())  # noqa: E731
        assert isinstance(self.model.backbone, nn.Module)
        hook = self.model.backbone.register_forward_hook(keep)
        try:
            output = self.model(images)
        finally:
            hook.remove()
        features = torch.cat([values.float().mean(dim=(2, 3)) for values in maps], dim=1)
        return doubts(self.model, output, images).cpu(), features.cpu()


def _batches(frames: Iterator[SourceFrame], size: int) -> Iterator[list[SourceFrame]]:
    while batch := list(islice(frames, size)):
        yield batch
