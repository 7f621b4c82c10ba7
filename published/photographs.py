"""The image with which an import is compared with its file."""

from __future__ import annotations

import torch
from torch import Tensor

from pocketvision.core.structures import Size
from pocketvision.models import SingleModel


def photograph_like(model: SingleModel, image_size: Size, seed: int = 0) -> Tensor:
    """A normalized image (1, 3, H, W) whose amplitudes fall with frequency, as those of photographs do."""
    height, width = image_size
    noise = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    noise = noise + 2 * noise.mean(dim=1, keepdim=True)  # the colors of a photograph go together
    frequency = torch.fft.fftfreq(height)[:, None].square() + torch.fft.rfftfreq(width).square()
    falling = 1 / frequency.sqrt().clamp(min=1 / max(height, width))
    image = torch.fft.irfft2(torch.fft.rfft2(noise) * falling, s=(height, width))
    image = 120 + 60 * (image - image.mean()) / image.std()
    normalized: Tensor = model.normalize(image.clamp(0, 255).to(next(model.parameters()).device))
    return normalized
