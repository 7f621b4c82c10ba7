"""Covers datasets/images/colors.py, datasets/images/header.py."""

from __future__ import annotations

import re
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_image, read_mask
from pocketvision.datasets.images.read import match_mask, read_reduced, read_size

Write = Callable[..., None]


def test_rgb_order_and_unicode_path(tmp_path: Path) -> None:
    path = tmp_path / "Straße 街.png"
    Image.new("RGB", (3, 2), (255, 10, 0)).save(path)
    image = read_image(str(path))
    assert image.shape == (2, 3, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [255, 10, 0]
    assert read_size(str(path)) == (2, 3)


def test_what_pillow_could_not_open_safely_is_not_opened(tmp_path: Path) -> None:
    """An EPS would start Ghostscript, whatever its name."""
    marker = tmp_path / "was_here"
    (tmp_path / "x.jpg").write_text(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({marker}) (w) file closefile\nshowpage\n%%EOF\n"
    )
    for read in (read_image, read_mask, read_size):
        with pytest.raises(
            InputError, match=r"x\.jpg cannot be read as an image \(it begins like PostScript\)"
        ):
            read(str(tmp_path / "x.jpg"))
    assert not marker.exists()


def png_of(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    facts = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", facts) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    """56,000 squared in some kB would take 9.5 GB."""
    (tmp_path / "bomb.png").write_bytes(png_of(56_000, 56_000, zlib.compress(bytes(1 << 20))))
    tracemalloc.start()
    for read in (read_image, read_mask, read_size):
        with pytest.raises(
            InputError, match=r"bomb\.png is 56000x56000 pixels, 3136 million, and at most 268"
        ):
            read(str(tmp_path / "bomb.png"))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_chunk_that_states_gigabytes_takes_none(tmp_path: Path) -> None:
    """OpenCV took 12 s and 4 GB for it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png", exif=exif)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[data.index(b"eXIf") - 4] = 0x70
    (tmp_path / "a.png").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"a\.png is truncated or broken"):
        read_image(str(tmp_path / "a.png"))
    assert time.perf_counter() - start < 2


def test_damaged_pictures_are_sentences(tmp_path: Path) -> None:
    """A few of the mutations of which 5,000 were tried: nothing but InputError."""
    rng, exif = np.random.default_rng(0), Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8))
    for suffix in ("jpg", "png", "webp", "tif", "gif", "bmp", "ppm", "jp2", "avif"):
        path = tmp_path / f"a.{suffix}"
        picture.save(path, **({} if suffix in ("gif", "bmp", "ppm", "jp2") else {"exif": exif}))
        whole = path.read_bytes()
        for _ in range(25):
            data = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
            for place in rng.integers(0, len(data), rng.integers(0, 6)):
                data[place] = rng.integers(256)
            path.write_bytes(data)
            for read in (read_image, read_mask, read_size):
                with warnings.catch_warnings(), suppress(InputError):
                    warnings.simplefilter("ignore")  # Pillow's, about odd files that it reads
                    read(str(path))


def test_a_large_photo_is_read(tmp_path: Path) -> None:
    """13,400 squared is more than Pillow's limit."""
    assert cv2.imwrite(str(tmp_path / "large.jpg"), np.zeros((13_400, 13_400), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_size(str(tmp_path / "large.jpg")) == (13_400, 13_400)
        small = read_reduced(str(tmp_path / "large.jpg"), 1 / 8)
        assert small.pixels.shape == (1675, 1675, 3) and small.covers == small.size == (13_400, 13_400)
        Image.new("1", (13_400, 13_400)).save(tmp_path / "large.png")
        assert read_mask(str(tmp_path / "large.png")).shape == (13_400, 13_400)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


@pytest.mark.parametrize("size", [(2, 4000), (3000, 20), (1, 1), (1, 17)])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_narrow_images(size: tuple[int, int], suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", size[::-1], (9, 9, 9)).save(tmp_path / f"a.{suffix}")
    path = str(tmp_path / f"a.{suffix}")
    assert read_image(path).shape == (*size, 3) and read_size(path) == size
    reading = read_reduced(path, 0.1)
    assert all(pixels >= 1 for pixels in reading.pixels.shape)
    assert all(covered >= side for covered, side in zip(reading.covers, size, strict=True))


@pytest.mark.parametrize("place", ["before", "after"])
def test_exif_of_a_png_may_come_last(place: str, tmp_path: Path) -> None:
    """Some programs append it to what is there."""
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(path, exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    if place == "after":
        path.write_bytes(data.replace(chunk, b"")[:-12] + chunk + data[-12:])
    assert len(data) > 2 << 16, "more than is read of a header"
    assert read_size(str(path)) == (300, 200)
    assert (read_image(str(path)) == np.rot90(noise, -1)).all()


def test_a_mask_of_the_stored_size_is_turned_with_its_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    stored = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(20, 30)
    assert (match_mask(stored, str(tmp_path / "a.jpg")) == np.rot90(stored)).all()
    assert (match_mask(np.rot90(stored), str(tmp_path / "a.jpg")) == np.rot90(stored)).all()
    Image.fromarray(stored).save(tmp_path / "mask.png", exif=exif)
    assert (read_mask(str(tmp_path / "mask.png")) == np.rot90(stored)).all()


def test_what_only_pillow_reads_is_read_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.ones((9, 9), np.float32)).save(tmp_path / "a.tif")
    assert (read_image(str(tmp_path / "a.tif")) == 255).all()
    said = capfd.readouterr()
    assert not said.out + said.err


def test_nothing_else_opens_pictures_with_pillow() -> None:
    """One place knows which formats and sizes are safe."""
    root = Path(__file__).parents[3]
    folders = [
        "core",
        "datasets",
        "deploy",
        "doctor",
        "evaluation",
        "published",
        "runs",
        "tasks",
        "tools",
        "api",
        "costs",
        "models",
    ]
    found = {
        str(file.relative_to(root))
        for folder in folders
        for file in (root / folder).rglob("*.py")
        if re.search(r"\b(Pillow)?Image\.open\(|\bcv2\.imread\(", file.read_text(encoding="utf-8"))
    }
    # Two read what was just written here, another is for programs without this package.
    others = {"evaluation/cityscapes_results.py", "deploy/client/pictures.py", "api/training.py"}
    assert found == {"datasets/images/header.py"} | others


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_truncated_image(tmp_path: Path, write_image: Write, suffix: str, part: float) -> None:
    path = tmp_path / f"image{suffix}"
    write_image(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=rf"image\{suffix} .*replace the file, or remove it"):
        read_image(str(path))


def test_bytes_after_the_end_are_no_error(tmp_path: Path, write_image: Write) -> None:
    path = tmp_path / "image.jpg"
    write_image(path)
    path.write_bytes(path.read_bytes() + b"\0" * 500)
    assert read_image(str(path)).shape == (40, 60, 3)


def test_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    for read in (read_image, read_mask, read_size):
        with pytest.raises(InputError, match=r"a\.jpg cannot be read"):
            read(str(tmp_path / "a.jpg"))
        with pytest.raises(InputError, match=r"gone\.jpg"):
            read(str(tmp_path / "gone.jpg"))


def test_palette_mask_gives_its_indices(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    mask = Image.fromarray(values).convert("P")
    mask.putdata(values.ravel().tolist())
    mask.putpalette([200, 100, 50] * 256)
    mask.save(tmp_path / "mask.png")
    assert (read_mask(str(tmp_path / "mask.png")) == values).all()


def test_colour_mask(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png is no mask: it has pixels of type RGB"):
        read_mask(str(tmp_path / "mask.png"))
