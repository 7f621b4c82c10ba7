from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_image, read_mask
from pocketvision.datasets.images.read import read_size

Write = Callable[..., None]


def test_rgb_order_and_unicode_path(tmp_path: Path) -> None:
    path = tmp_path / "Straße 街.png"
    Image.new("RGB", (3, 2), (255, 10, 0)).save(path)
    image = read_image(str(path))
    assert image.shape == (2, 3, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [255, 10, 0]
    assert read_size(str(path)) == (2, 3)


def test_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(str(tmp_path / "turned.jpg")).shape == (20, 30, 3)
    assert read_size(str(tmp_path / "turned.jpg")) == (20, 30)


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
