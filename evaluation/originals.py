"""The images of a split as they were before they became the model's input, for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from torch import Tensor

from pocketvision.core.resize import Image, Resize
from pocketvision.core.structures import AnyTarget
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.records.annotations import AnyRecords


class Samples(Protocol):
    """A data set without augmentation: (image (3, H, W) of the model's input, target) by index."""

    @property
    def records(self) -> AnyRecords: ...

    @property
    def resize(self) -> Resize: ...

    def __getitem__(self, key: int, /) -> tuple[Tensor, AnyTarget]: ...


def original_image(samples: Samples, index: int) -> Image:
    """(H, W, C) in the file's size; where there is no file, as with generated images, enlarged again."""
    path = samples.records.image_paths[index]
    if Path(path).is_file():
        return read_pixels(path, samples.resize.pixels).pixels
    image, target = samples[index]
    pixels = image.permute(1, 2, 0).numpy()
    if samples.resize.mode == "crop":
        return pixels
    height, width = samples.resize.content_size(target.original_size)
    content = np.ascontiguousarray(pixels[:height, :width])
    enlarged = cv2.resize(content, target.original_size[::-1])
    return np.asarray(enlarged, dtype=np.uint8).reshape(*target.original_size, -1)
