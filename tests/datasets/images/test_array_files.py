"""Files of arrays: TIFF of many channels against tifffile, and NumPy's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat
from pocketvision.datasets import read_image
from pocketvision.datasets.images.array_files import beyond_pillow, stated_tiff
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.images.picture import PictureFile
from pocketvision.datasets.images.read import read_size

BANDS: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}


def numbers(channels: int, top: int = 256, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    kind = np.uint8 if top <= 256 else np.uint16
    return np.random.default_rng(channels).integers(0, top, (*size, channels)).astype(kind)


def save(path: Path, values: np.ndarray) -> str:
    np.save(path, values)
    return str(path)


@pytest.mark.parametrize("how", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"},
                                 {"tile": (16, 16)}, {"bigtiff": True, "byteorder": ">"}])  # fmt: skip
@pytest.mark.parametrize("channels", [2, 4, 6])
def test_a_tiff_of_many_channels_is_read_as_it_was_written(
    tmp_path: Path, channels: int, how: dict[str, Any]
) -> None:
    values, path = numbers(channels), str(tmp_path / "x.tif")
    tifffile.imwrite(path, values, **BANDS, **how)
    assert read_size(path) == (20, 30)
    np.testing.assert_array_equal(read_pixels(path, PixelFormat(channels)).pixels, values)
    with pytest.raises(InputError, match=rf"x\.tif has {channels} channels of 8 bits, .*8-bit RGB"):
        read_image(path)


@pytest.mark.parametrize("channels", [3, 5])
def test_planes_of_16_bits_are_channels(tmp_path: Path, channels: int) -> None:
    """OpenCV gave other numbers for three."""
    values, path = numbers(channels, 4096), str(tmp_path / "x.tif")
    kind: Any = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(path, np.moveaxis(values, 2, 0), photometric=kind, planarconfig="separate")
    found = read_pixels(path, PixelFormat(channels, (0, 4095))).pixels
    np.testing.assert_array_equal(found, np.rint(values * np.float32(255 / 4095)))


def test_gray_of_three_bands_and_of_64_bits_is_read_where_rgb_is_taken(tmp_path: Path) -> None:
    """Pillow opens neither."""
    values, path = numbers(3), str(tmp_path / "x.tif")
    tifffile.imwrite(path, values, **BANDS)
    np.testing.assert_array_equal(read_image(path), values)
    tifffile.imwrite(path, values[..., 0] / 255.0, photometric="minisblack")
    np.testing.assert_array_equal(read_image(path), np.repeat(values[..., :1], 3, axis=2))


def test_what_pillow_opens_is_left_to_it(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "RGBA", "CMYK", "I;16", "F"):
        Image.new(mode, (4, 3)).save(tmp_path / "x.tif")
        data = (tmp_path / "x.tif").read_bytes()
        assert beyond_pillow(data, "x") is None and stated_tiff(data) is not None
    for broken in (data[:6], data[:40], b"II*\0" + bytes(20)):
        assert stated_tiff(broken) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_an_array_of_8_bits_is_rgb(tmp_path: Path, channels: int) -> None:
    values = numbers(channels)
    expected = np.repeat(values, 3 // channels, axis=2)
    for array in (values, values.squeeze(), np.asfortranarray(values)):
        np.testing.assert_array_equal(read_image(save(tmp_path / "x.npy", array)), expected)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i8"])
def test_an_array_is_read_in_its_own_type(tmp_path: Path, kind: str) -> None:
    values = numbers(2, 4096).astype(kind)
    path = save(tmp_path / "x.npy", values)
    assert read_size(path) == (20, 30)
    found = PictureFile(path, pixels=PixelFormat(2, (0, 4095))).read().pixels
    np.testing.assert_array_equal(found, np.rint(values.astype(np.float32) * np.float32(255 / 4095)))
    with pytest.raises(InputError, match=r"x\.npy has 2 channels of .. bits, and the model takes 8-bit RGB"):
        read_image(path)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 3, 4, 5)), r"is no picture: it holds float64 of the shape"),
        (np.zeros((2, 3), dtype=bool), r"is no picture: it holds bool"),
        (np.zeros((0, 3)), r"is no picture"),
        (
            np.zeros((5, 40, 60)),
            r"is \(5, 40, 60\), which looks like channels first: write it as \(H, W, C\)",
        ),
        (np.zeros((40, 60, 17)), r"has 17 channels, and at most 16 are read: leave some out"),
    ],
)
def test_an_array_of_no_picture_is_one_sentence(tmp_path: Path, array: np.ndarray, said: str) -> None:
    path = save(tmp_path / "x.npy", array)
    for read in (read_size, read_image, lambda path: read_pixels(path, PixelFormat(5))):
        with pytest.raises(InputError, match=rf"^{path} {said}"):
            read(path)


def test_a_broken_array_is_one_sentence(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "x.npy", numbers(2)))
    whole = path.read_bytes()
    for part in (b"\x93NUMPY\x01\x00", whole[:-9]):
        path.write_bytes(part)
        with pytest.raises(InputError, match=r"x\.npy is truncated or broken"):
            read_pixels(str(path), PixelFormat(2))
