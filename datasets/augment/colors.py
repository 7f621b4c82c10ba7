"""Changes of brightness, contrast, saturation and hue of 8-bit images, as tables and one matrix."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import RGB
from pocketvision.datasets.images.read import Array

_GRAY = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue: ITU-R BT.601, as torchvision and OpenCV weigh them."""
_LEVELS = np.arange(256.0)


def change_colors(
    image: Array, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Array:
    """torchvision's ColorJitter for given factors, in this order, on (H, W, 3) uint8 RGB.

    Brightness and contrast are one table look-up, saturation is one 3x3 matrix. Hue is a fraction of the
    circle, rounded to OpenCV's 2 degrees; a table on the hue between two conversions. Images of other
    channels (H, W, C) have no colors: brightness and contrast change, around the mean of all channels.
    """
    if brightness != 1 or contrast != 1:
        image = _look_up(image, _table(image, brightness, contrast))
    if image.shape[2] != RGB.channels:
        return image
    if saturation != 1:
        matrix = saturation * np.eye(3) + (1 - saturation) * _GRAY
        image = np.asarray(cv2.transform(image, matrix), dtype=np.uint8)
    steps = round(180 * hue)
    return _turn_hue(image, steps) if steps else image


def _table(image: Array, brightness: float, contrast: float) -> Array:
    """Level -> new level (256,). Contrast spreads around the mean gray of the brightened image."""
    levels: npt.NDArray[np.float64] = np.clip(np.rint(_LEVELS * brightness), 0, 255)
    if contrast != 1:
        is_rgb = image.shape[2] == RGB.channels
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if is_rgb else image.reshape(len(image), -1)
        counts = cv2.calcHist([gray], [0], None, [256], [0, 256])
        mean = float(levels @ counts.ravel().astype(np.float64)) / gray.size
        levels = np.clip(np.rint(levels * contrast + mean * (1 - contrast)), 0, 255)
    return levels.astype(np.uint8)


def _turn_hue(image: Array, steps: int) -> Array:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue, table = np.asarray(cv2.extractChannel(hsv, 0), dtype=np.uint8), (_LEVELS + steps) % 180
    cv2.insertChannel(_look_up(hue, table.astype(np.uint8)), hsv, 0)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _look_up(image: npt.NDArray[np.integer[Any]], table: Array) -> Array:
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8).reshape(image.shape)
