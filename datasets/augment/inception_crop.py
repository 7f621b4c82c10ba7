"""Inception's random part of an image (arXiv:1409.4842, sec. 6)."""

from __future__ import annotations

import math

import numpy as np

from pocketvision.core.structures import Size

_TRIALS = 10


def inception_window(
    size: Size, scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a part with a share ``scale`` of the area and a width / height in ``ratio``.

    Area uniform, ratio log-uniform. Where ten draws do not fit into the image, the largest centered
    part with a ratio in range is taken, as in torchvision.
    """
    height, width = size
    for _ in range(_TRIALS):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = (int(rng.integers(room + 1)) for room in (height - rows, width - columns))
            return slice(top, top + rows), slice(left, left + columns)
    rows = min(height, max(1, round(width / ratio[0])))
    columns = min(width, max(1, round(height * ratio[1])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)
