"""Covers datasets/images/array_files.py, datasets/images/bands.py, datasets/images/survey.py."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets import read_image
from pocketvision.datasets.images.bands import as_pixels, read_pixels
from pocketvision.datasets.images.picture import PictureFile
from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.images.survey import look_at_pixels


def numbers(channels: int, top: int = 256, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    kind = np.uint8 if top <= 256 else np.uint16
    return np.random.default_rng(channels).integers(0, top, (*size, channels)).astype(kind)


def write_pages(path: Path, values: np.ndarray) -> str:
    first, *others = (Image.fromarray(values[..., i]) for i in range(values.shape[2]))
    first.save(path, save_all=True, append_images=others)
    return str(path)


def write_bands(path: Path, values: np.ndarray) -> str:
    """An uncompressed TIFF of any number of 8-bit channels, one strip, as the standard says."""
    height, width, channels = values.shape
    pixels = values.tobytes()
    bits = struct.pack(f"<{channels}H", *[8] * channels)
    rows = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8 + len(pixels)), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    tags = b"".join(struct.pack("<HHII", *row) for row in rows)
    start = 8 + len(pixels) + len(bits)
    head = struct.pack("<2sHI", b"II", 42, start)
    path.write_bytes(head + pixels + bits + struct.pack("<H", len(rows)) + tags + bytes(4))
    return str(path)


def test_pages_of_a_tiff_are_channels(tmp_path: Path) -> None:
    values = numbers(5)
    path = write_pages(tmp_path / "x.tif", values)
    reading = read_pixels(path, PixelFormat(5))
    np.testing.assert_array_equal(reading.pixels, values)
    assert reading.size == reading.covers == (20, 30)


def test_an_array_file_is_read_as_it_is(tmp_path: Path) -> None:
    values = numbers(2)
    np.save(tmp_path / "x.npy", values)
    path = str(tmp_path / "x.npy")
    assert read_size(path) == (20, 30)
    np.testing.assert_array_equal(PictureFile(path, pixels=PixelFormat(2)).read().pixels, values)
    with pytest.raises(InputError, match=r"x\.npy has 2 channels of 8 bits, and the model takes 8-bit RGB"):
        read_image(path)
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 4, 5)))
    with pytest.raises(InputError, match=r"x\.npy is no picture: it holds float64 of the shape"):
        read_size(path)
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match=r"x\.npy is truncated or broken"):
        read_size(path)


def test_the_size_of_a_tiff_of_many_channels_needs_no_library(tmp_path: Path) -> None:
    path = write_bands(tmp_path / "x.tif", numbers(6))
    assert read_size(path) == (20, 30)
    with pytest.raises(InputError, match="6 channels of 8 bits"):
        read_image(path)


def test_a_tiff_of_many_channels_is_read_by_tifffile(tmp_path: Path) -> None:
    pytest.importorskip("tifffile")
    values = numbers(6)
    path = write_bands(tmp_path / "x.tif", values)
    np.testing.assert_array_equal(read_pixels(path, PixelFormat(6)).pixels, values)


def test_a_stated_range_becomes_a_byte_and_nothing_is_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 819, 2048, 4095]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    path = str(tmp_path / "x.png")
    twelve = PixelFormat(1, (0, 4095))
    assert read_pixels(path, twelve).pixels.tolist() == [[[0], [51], [128], [255]]]
    assert read_pixels(path, PixelFormat(3, (0, 4095))).pixels[0, 1].tolist() == [51, 51, 51]
    with pytest.raises(InputError, match=r"x\.png has values from 0 to 4095, and the model takes 0 to 1023"):
        read_pixels(path, PixelFormat(1, (0, 1023)))
    Image.fromarray(values.astype(np.uint8)).save(path)
    with pytest.raises(InputError, match=r"x\.png has 8 bits a channel"):
        read_pixels(path, twelve)
    with pytest.raises(InputError, match="values from nan to nan"):
        as_pixels(np.array([[0.5, np.nan]]), PixelFormat(1, (0, 1)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colors_of_16_bits_keep_them(tmp_path: Path, suffix: str) -> None:
    values = numbers(3, 4096)
    path = str(tmp_path / f"x.{suffix}")
    assert cv2.imwrite(path, values[..., ::-1])
    found = read_pixels(path, PixelFormat(3, (0, 4095))).pixels
    np.testing.assert_array_equal(found, np.rint(values * np.float32(255 / 4095)))


def test_alpha_is_a_channel_where_four_are_taken_and_equal_colors_are_gray(tmp_path: Path) -> None:
    values = numbers(4)
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_pixels(str(tmp_path / "x.png"), PixelFormat(4)).pixels, values)
    gray = numbers(1)
    Image.fromarray(np.repeat(gray, 3, axis=2)).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read_pixels(str(tmp_path / "gray.png"), PixelFormat(1)).pixels, gray)
    for channels, name in ((1, "x.png"), (2, "gray.png")):
        with pytest.raises(InputError, match=rf"{name} has . channels, and the model takes {channels}: "):
            read_pixels(str(tmp_path / name), PixelFormat(channels))


def test_other_channels_are_turned_by_exif_too(tmp_path: Path) -> None:
    values = numbers(4)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    found = read_pixels(str(tmp_path / "x.png"), PixelFormat(4)).pixels
    np.testing.assert_array_equal(found, np.rot90(values, -1))


def test_what_the_pictures_are_is_found_and_measured(tmp_path: Path) -> None:
    pages = [write_pages(tmp_path / f"{i}.tif", numbers(5) // (i + 1)) for i in range(3)]
    found = look_at_pixels(pages)
    assert found.pixels == PixelFormat(5) and found.num_images == 3
    every = np.concatenate([read_pixels(path, found.pixels).pixels.reshape(-1, 5) for path in pages]) / 255
    np.testing.assert_allclose(found.mean or (), every.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.std or (), every.std(axis=0), atol=1e-4)
    assert found.fill == tuple(round(255 * value) for value in found.mean or ())


def test_the_range_is_that_of_the_bits_in_use(tmp_path: Path) -> None:
    for number, top in enumerate((900, 4000)):
        Image.fromarray(np.array([[3, top]], dtype=np.uint16)).save(tmp_path / f"{number}.png")
    deep = [str(tmp_path / f"{number}.png") for number in range(2)]
    assert look_at_pixels(deep).pixels == PixelFormat(1, (0, 4095))
    assert look_at_pixels(deep, None, (0, 9000)).pixels == PixelFormat(1, (0, 9000))
    assert look_at_pixels(deep, 3).pixels == PixelFormat(3, (0, 4095))


def test_pictures_of_8_bits_stay_rgb_also_among_others(tmp_path: Path) -> None:
    paths = []
    for mode in ("L", "RGB", "RGBA", "I;16"):
        paths.append(str(tmp_path / f"{len(paths)}.png"))
        Image.new(mode, (4, 4), None if mode != "I;16" else 4000).save(paths[-1])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert look_at_pixels([*paths, str(tmp_path / "broken.png")]).pixels == RGB
    assert look_at_pixels(paths).line is None
    assert look_at_pixels(paths[:1], 1).pixels == PixelFormat(1)


def test_several_numbers_of_channels_and_unknown_ranges_are_refused(tmp_path: Path) -> None:
    mixed = [write_pages(tmp_path / "5.tif", numbers(5)), write_pages(tmp_path / "2.tif", numbers(2))]
    with pytest.raises(InputError, match=r"2\.tif has 2 channels, and .*5\.tif has 5"):
        look_at_pixels(mixed)
    Image.fromarray(np.float32([[-4, 7]])).save(tmp_path / "f.tif")
    with pytest.raises(InputError, match=r"f\.tif and others hold -4 to 7"):
        look_at_pixels([str(tmp_path / "f.tif")])
