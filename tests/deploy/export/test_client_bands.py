"""Covers deploy/client/pictures.py: pictures of other channels are read as the package reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.deploy.client.pictures import read_bands


def numbers(channels: int, top: int) -> np.ndarray:
    kind = np.uint8 if top <= 256 else np.uint16
    return np.random.default_rng(0).integers(0, top, (12, 17, channels)).astype(kind)


def write(path: Path, kind: str, channels: int, top: int) -> Path:
    values = numbers(channels, top)
    bands: dict[str, Any] = {"photometric": "minisblack"}
    if kind == "npy":
        np.save(path.with_suffix(".npy"), values)
        return path.with_suffix(".npy")
    if kind == "png":
        Image.fromarray(values.squeeze()).save(path.with_suffix(".png"))
        return path.with_suffix(".png")
    file = path.with_suffix(".tif")
    if kind == "tif":
        tifffile.imwrite(file, values, planarconfig="contig", **bands)
    elif kind == "planes":
        tifffile.imwrite(file, np.moveaxis(values, 2, 0), planarconfig="separate", **bands)
    else:
        tifffile.imwrite(file, np.moveaxis(values, 2, 0), **bands)
    return file


@pytest.mark.parametrize(
    ("kind", "channels", "top", "pixels"),
    [
        ("npy", 2, 256, PixelFormat(2)),
        ("npy", 5, 4096, PixelFormat(5, (0, 4095))),
        ("tif", 6, 256, PixelFormat(6)),
        ("planes", 5, 4096, PixelFormat(5, (0, 4095))),
        ("pages", 5, 256, PixelFormat(5)),
        ("pages", 4, 65536, PixelFormat(4)),
        ("png", 1, 4096, PixelFormat(1, (0, 4095))),
        ("png", 1, 4096, PixelFormat(3, (0, 4095))),
        ("png", 1, 65536, PixelFormat(1)),
        ("png", 4, 256, PixelFormat(4)),
        ("png", 3, 256, PixelFormat(5)),
        ("png", 1, 4096, PixelFormat(1, (0, 1023))),
        ("png", 1, 256, PixelFormat(1, (0, 4095))),
    ],
)
def test_a_client_reads_what_the_package_reads(
    kind: str, channels: int, top: int, pixels: PixelFormat, tmp_path: Path
) -> None:
    path = write(tmp_path / "x", kind, channels, top)
    facts = {"channels": pixels.channels, "value_range": pixels.value_range}
    try:
        expected = read_pixels(str(path), pixels).pixels
    except InputError:
        with pytest.raises(ValueError, match=path.name):
            read_bands(path, facts)
        return
    np.testing.assert_array_equal(read_bands(path, facts), expected)
    assert len(np.unique(expected)) > 50


def test_gray_in_three_channels_is_gray_and_pngs_of_deep_colors_are_refused(tmp_path: Path) -> None:
    gray = np.repeat(numbers(1, 256), 3, axis=2)
    np.testing.assert_array_equal(read_bands(gray, {"channels": 1, "value_range": None}), gray[..., :1])
    cv2.imwrite(str(tmp_path / "x.png"), numbers(3, 4096))
    with pytest.raises(ValueError, match=r"x\.png is a PNG of 16-bit colors: save it as TIFF"):
        read_bands(tmp_path / "x.png", {"channels": 3, "value_range": (0, 4095)})
    with pytest.raises(ValueError, match="float64"):
        read_bands(np.zeros((3, 4, 2)), {"channels": 2, "value_range": None})
