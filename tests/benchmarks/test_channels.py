"""The sets of benchmarks/channels.py differ in their channels only, and so do its runs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.resize import PixelFormat
from pocketvision.datasets import detect_format
from pocketvision.datasets.images.bands import read_pixels
from pocketvision.datasets.images.survey import look_at_pixels

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
XML = """<annotation><filename>a.jpg</filename><size><width>40</width><height>30</height></size>
<object><name>cell</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>25</ymax></bndbox></object>
</annotation>"""


@pytest.fixture(scope="module")
def benchmark_names() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "channels.py"))


def colors() -> np.ndarray:
    """Every brightness from black to white, and colors."""
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    values[0, 0], values[0, 1] = 0, 255
    return values


def save_jpeg(path: Path) -> np.ndarray:
    path.parent.mkdir(parents=True)
    Image.fromarray(colors()).save(path, quality=100, subsampling=0)
    return np.asarray(Image.open(path))


def test_gray_of_16_bits_reaches_a_model_as_gray_rgb_does(
    benchmark_names: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "voc"
    save_jpeg(source / "JPEGImages" / "a.jpg")
    (source / "Annotations").mkdir()
    (source / "Annotations" / "a.xml").write_text(XML)
    (source / "ImageSets" / "Main").mkdir(parents=True)
    for split in ("train", "val"):
        (source / "ImageSets" / "Main" / f"{split}.txt").write_text("a\n")
    read = []
    for is_other in (False, True):
        folder = tmp_path / str(is_other)
        folder.mkdir()
        benchmark_names["make_gray"](source, folder, is_other)
        records = detect_format(folder, "detection").read("train")
        found = look_at_pixels(records.image_paths)
        assert found.pixels == (PixelFormat(1, (0, 65535)) if is_other else PixelFormat())
        read.append((records.boxes, read_pixels(records.image_paths[0], found.pixels).pixels))
    np.testing.assert_array_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], np.repeat(read[1][1], 3, axis=2))
    assert len(np.unique(read[1][1])) > 100


def test_five_planes_hold_the_colors_and_what_is_computed_from_them(
    benchmark_names: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "masks"
    for split in ("train", "val"):
        expected = save_jpeg(source / split / "images" / "a.jpg")
        (source / split / "masks").mkdir()
        Image.fromarray(np.uint8([[0, 1]])).resize((40, 30), 0).save(source / split / "masks" / "a.png")
    for is_other, channels in ((False, 3), (True, 5)):
        folder = tmp_path / str(is_other)
        for split in ("train", "val"):
            (folder / split).mkdir(parents=True)
        benchmark_names["make_planes"](source, folder, is_other)
        paths = detect_format(folder, "segmentation").read("val").image_paths
        assert look_at_pixels(paths).pixels == PixelFormat(channels)
        pixels = read_pixels(paths[0], PixelFormat(channels)).pixels
        np.testing.assert_array_equal(pixels[..., :3], expected)
    flat = benchmark_names["five_planes"](np.full((9, 9, 3), (10, 250, 10), dtype=np.uint8))
    assert not flat[..., 3].any() and (flat[..., 4] == 248).all()


def test_both_runs_of_a_pair_have_one_command_line(benchmark_names: dict[str, Any]) -> None:
    pair = benchmark_names["PAIRS"]["detection"]
    rgb, other = (benchmark_names["words"](pair, Path(name), 300, Path("s")) for name in ("a", "b"))
    assert [word for word in rgb if word not in other] == ["a"] and len(rgb) == len(other)
    assert "trainer.max_steps=300" in rgb and "model.weights=s/weights/mobilenet_v2-b0353104.pth" in rgb
