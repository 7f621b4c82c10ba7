"""Images from a folder, as a model takes them, to calibrate int8 with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.deploy.predict.sources import find_sources
from pocketvision.deploy.runtimes.artifact import Artifact


def read_calibration_images(folder: Path, resize: Resize, num_images: int) -> Tensor:
    """Images of ``folder`` and the folders in it at even distances: (N, 3, H, W) uint8.

    Raises:
        InputError: there is none, or one is broken.
    """
    paths = [source.name for source in find_sources([str(folder)]) if source.kind == "image"]
    if not paths:
        raise InputError(f"{folder} holds no images: give a folder that does with --calibration.")
    chosen = [paths[i] for i in spread(len(paths), num_images)]
    images = [torch.from_numpy(resize.apply(read_pixels(path, resize.pixels).pixels)) for path in chosen]
    return torch.stack(images).permute(0, 3, 1, 2).contiguous()


def save_batches(images: Tensor, artifact: Artifact, path: Path) -> None:
    """Write images (N, 3, H, W) as the artifact takes them to an .npz file: ``images`` (M, B, 3, H, W).

    The last batch is filled up with the first images.
    """
    batch = artifact.batch or 1
    filled = images[torch.arange(-(-len(images) // batch) * batch) % len(images)]
    array = filled.reshape(-1, batch, *images.shape[1:]).numpy()
    np.savez(path, images=array.astype(np.uint8 if artifact.input_type == "uint8" else np.float32))
