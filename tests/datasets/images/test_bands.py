"""Covers datasets/images/bands.py, datasets/images/survey.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets.images.bands import as_pixels, read_pixels
from pocketvision.datasets.images.survey import look_at_pixels


def numbers(channels: int, top: int = 256, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    kind = np.uint8 if top <= 256 else np.uint16
    return np.random.default_rng(channels).integers(0, top, (*size, channels)).astype(kind)


def write_pages(path: Path, values: np.ndarray) -> str:
    first, *others = (Image.fromarray(values[..., i]) for i in range(values.shape[2]))
    first.save(path, save_all=True, append_images=others)
    return str(path)


def test_pages_of_a_tiff_are_channels(tmp_path: Path) -> None:
    values = numbers(5)
    path = write_pages(tmp_path / "x.tif", values)
    reading = read_pixels(path, PixelFormat(5))
    np.testing.assert_array_equal(reading.pixels, values)
    assert reading.size == reading.covers == (20, 30)


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
    with pytest.raises(InputError, match=r"values that are no number \(NaN\)"):
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
    Image.new("LA", (4, 4)).save(tmp_path / "la.png")
    paths.append(str(tmp_path / "la.png"))
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


def test_a_picture_without_a_number_is_named(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "good.tif")
    values[1, 2] = np.nan
    Image.fromarray(values).save(tmp_path / "nan.tif")
    paths = [str(tmp_path / f"{name}.tif") for name in ("good", "nan")]
    assert look_at_pixels(paths[:1]).pixels == PixelFormat(1, (0, 1))
    with pytest.raises(InputError, match=r"nan\.tif has values that are no number \(NaN\)"):
        look_at_pixels(paths)
    Image.fromarray(np.full((4, 5), np.nan, dtype=np.float32)).save(paths[1])
    with pytest.raises(InputError, match=r"nan\.tif has no value that is a number"):
        look_at_pixels(paths)


def test_a_fourth_channel_that_is_no_alpha_is_kept_where_all_have_it(tmp_path: Path) -> None:
    values, paths = numbers(4), [str(tmp_path / f"{i}.tif") for i in range(2)]
    tifffile.imwrite(paths[0], values, photometric="rgb", extrasamples=["unspecified"])
    tifffile.imwrite(paths[1], values, photometric="rgb", extrasamples=["unassalpha"])
    assert look_at_pixels(paths[:1]).pixels == PixelFormat(4)
    assert look_at_pixels(paths[1:]).pixels == look_at_pixels(paths).pixels == RGB
    for path in paths:
        np.testing.assert_array_equal(read_pixels(path, PixelFormat(4)).pixels, values)
    np.testing.assert_array_equal(read_pixels(paths[0]).pixels, values[..., :3])


def test_three_pages_are_three_channels(tmp_path: Path) -> None:
    """RGB reads the first page of a TIFF alone."""
    values = numbers(3)
    path = write_pages(tmp_path / "x.tif", values)
    found = look_at_pixels([path])
    assert found.pixels == PixelFormat(3, (0, 255)) and found.line is not None
    np.testing.assert_array_equal(read_pixels(path, found.pixels).pixels, values)
