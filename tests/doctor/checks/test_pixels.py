"""Pictures of other channels and more bits: what check-data says of them, and what --fix keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pocketvision.core.resize import RGB, PixelFormat
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.doctor.check import Examination, Plan, examine
from pocketvision.doctor.checks.pixels import takes
from pocketvision.doctor.fixes.copy import write_fixed
from pocketvision.doctor.report.html import report_html
from pocketvision.doctor.report.text import report_text

PLAN = Plan(full=True)


@pytest.fixture
def bands(clean: Callable[..., Path]) -> Path:
    """A clean set whose pictures are TIFF of five bands."""
    root = clean("mask_folder")
    for number, path in enumerate(sorted(root.glob("*/images/*"))):
        with Image.open(path) as image:
            size = image.height, image.width
        path.unlink()
        values = np.random.default_rng(number).integers(0, 256, (*size, 5), dtype=np.uint8)
        tifffile.imwrite(path.with_suffix(".tif"), values, photometric="minisblack", planarconfig="contig")
    return root


def examined(root: Path, plan: Plan = PLAN) -> Examination:
    return examine(detect_format(root), plan)


def test_bands_are_told_and_shown_and_are_no_finding(bands: Path) -> None:
    report = examined(bands).report
    assert not report.findings.kept
    assert report.pixels.pixels == PixelFormat(5)
    assert "pictures: 5 channels; their mean and deviation measured on 4" in report_text(report)
    assert report.as_json()["pixels"]["channels"] == 5
    assert report_html(report).count("data:image/jpeg") > 2


def test_another_number_of_channels_is_an_error_that_names_the_file(bands: Path) -> None:
    path = next((bands / "val" / "images").iterdir())
    with tifffile.TiffFile(path) as file:
        size = file.asarray().shape[:2]
    Image.new("RGB", size[::-1], (1, 2, 3)).save(path.with_suffix(".png"))
    path.unlink()
    for plan in (PLAN, Plan()):
        found = examined(bands, plan).report.findings.kept["image_channels"]
        assert [finding.sentence for finding in found] == [
            f"{path.with_suffix('.png')} has 3 channels, and training takes 5: convert it, or remove it."
        ]


def test_what_training_refuses_is_a_finding(bands: Path) -> None:
    path = next((bands / "train" / "images").iterdir())
    tifffile.imwrite(path, np.zeros((20, 20, 2), np.uint8), photometric="minisblack", planarconfig="contig")
    found = examined(bands).report.findings.kept["not_read"]
    assert "pictures of a data set need one number of channels" in found[0].sentence


def test_a_config_says_what_is_read(bands: Path) -> None:
    report = examined(bands, replace(PLAN, pixels=PixelFormat(2))).report
    assert report.findings.counts["image_channels"] == 8 and "pictures: 2 channels\n" in report_text(report)


def test_fix_keeps_channels_and_bits(bands: Path, tmp_path: Path) -> None:
    """It wrote the first page of a TIFF as 8-bit RGB, and 16 bits as 8."""
    sources = sorted((bands / "train" / "images").iterdir())
    sources[0].write_bytes(sources[0].read_bytes()[:200])
    write_fixed(examined(bands), tmp_path / "bands")
    kept = sorted((tmp_path / "bands" / "train" / "images").iterdir())
    assert [path.name for path in kept] == [path.name for path in sources[1:]]
    for one, other in zip(kept, sources[1:], strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_fix_of_16_bits_renames_only(clean: Callable[..., Path], tmp_path: Path) -> None:
    root = clean("mask_folder")
    for path in root.glob("*/images/*"):
        with Image.open(path) as image:
            gray = np.asarray(image.convert("L")).astype(np.uint16) * 16
        Image.fromarray(gray).save(path, "PNG")
    report = examined(root).report
    assert report.pixels.pixels == PixelFormat(1, (0, 4095)) and "image_16bit" not in report.findings.kept
    write_fixed(examined(root), tmp_path / "fixed")
    for path in (tmp_path / "fixed").glob("*/images/*"):
        assert path.suffix == ".png"
        source = next(root.glob(f"{path.parent.parent.name}/images/{path.stem}.*"))
        found, expected = (read_pixels(str(file), report.pixels.pixels) for file in (path, source))
        np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_gray_goes_for_three_equal_channels_and_nothing_else() -> None:
    assert all(takes(RGB, channels) for channels in (None, 1, 2, 3, 4, 7))
    assert [channels for channels in range(1, 8) if takes(PixelFormat(1), channels)] == [1, 3]
    assert [channels for channels in range(1, 8) if takes(PixelFormat(5), channels)] == [5]
    assert takes(PixelFormat(5), None)
