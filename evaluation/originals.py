"""The images of a split as they were before they became the model's input, for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from torch import Tensor

from pocketvision.core.drawing import false_color
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
    """(H, W, 3) in the file's size, in false colors unless it is RGB.

    Where there is no file, as with generated images, the input is enlarged again.
    """
    path = samples.records.image_paths[index]
    if Path(path).is_file():
        return false_color(read_pixels(path, samples.resize.pixels).pixels)
    image, target = samples[index]
    pixels = false_color(image.permute(1, 2, 0).numpy())
    if samples.resize.mode == "crop":
        return pixels
    height, width = samples.resize.content_size(target.original_size)
    content = np.ascontiguousarray(pixels[:height, :width])
    return np.asarray(cv2.resize(content, target.original_size[::-1]), dtype=np.uint8)
