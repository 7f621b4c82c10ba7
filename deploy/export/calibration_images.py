"""Images from a folder, as a model takes them, to calibrate int8 with."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.images.read import read_image
from pocketvision.deploy.predict.sources import find_sources


def read_calibration_images(folder: Path, resize: Resize, num_images: int) -> Tensor:
    """Images of ``folder`` and the folders in it at even distances: (N, 3, H, W) uint8.

    Raises:
        InputError: there is none, or one is broken.
    """
    paths = [source.name for source in find_sources([str(folder)]) if source.kind == "image"]
    if not paths:
        raise InputError(f"{folder} holds no images: give a folder that does with --calibration.")
    chosen = [paths[i] for i in spread(len(paths), num_images)]
    images = [torch.from_numpy(resize.apply(read_image(path))) for path in chosen]
    return torch.stack(images).permute(0, 3, 1, 2).contiguous()
