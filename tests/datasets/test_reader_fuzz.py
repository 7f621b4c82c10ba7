"""Covers datasets/formats/coco.py, datasets/formats/csv_boxes.py, datasets/formats/voc.py,
datasets/formats/yolo.py.

Whatever a file holds: records or one sentence, never another error.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import (
    DetectionDataset,
    detect_format,
    read_csv_boxes,
    read_voc,
    read_voc_segmentation,
    read_yolo,
)
from pocketvision.datasets.formats.mask_folder import read_mask_folder

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(
    ["0", "1", "-1", "0.5", "nan", "inf", "1e400", "1_0", "a.jpg", "images", "train", "\x00", "é", "..", "/",
     "x" * 300, "[", "{", "&a", "*a", "!!python/object:os.system", "'", '"', "#", "null", "~", "<<"]
)  # fmt: skip
LINES = st.lists(st.lists(WORDS | st.text(max_size=4), max_size=7), max_size=5)


def survives(read: Callable[[], object]) -> None:
    try:
        read()
    except InputError as error:
        assert "\n" not in str(error) and str(error).endswith(".")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image in images/train, with folders for labels and annotations."""
    for folder in ("images/train", "labels/train", "Annotations", "masks/train"):
        (tmp_path / folder).mkdir(parents=True)
    pixels = np.full((40, 60, 3), 90, dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "images" / "train" / "a.jpg"), pixels)
    assert cv2.imwrite(str(tmp_path / "images" / "a.jpg"), pixels)
    (tmp_path / "classes.txt").write_text("a\nb\n")
    return tmp_path


def put(file: Path, text: str | bytes) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))


@FUZZ
@given(LINES, st.binary(max_size=30))
def test_labels(root: Path, lines: list[list[str]], noise: bytes) -> None:
    for content in ("\n".join(" ".join(line) for line in lines), noise):
        put(root / "labels" / "train" / "a.txt", content)
        survives(lambda: read_yolo(root, "train"))


@FUZZ
@given(LINES, st.sampled_from(["", "names: [a, b]\n", "path: "]), st.binary(max_size=30))
@example([["[" * 400]], "names: ", b"\xff")
@example([["/", "/", ".."]], "names: [a, b]\ntrain: ", b"")
def test_yaml(root: Path, lines: list[list[str]], start: str, noise: bytes) -> None:
    put(root / "labels" / "train" / "a.txt", "0 0.5 0.5 0.5 0.5")
    text = start + "\n".join(": ".join(line) for line in lines)
    for content in (text, f"train: /\n{text}", b"names:" + noise):
        put(root / "data.yaml", content)
        survives(lambda: read_yolo(root, "train"))
        survives(lambda: detect_format(root))


@FUZZ
@given(LINES, st.binary(max_size=30), st.booleans())
def test_csv(root: Path, lines: list[list[str]], noise: bytes, header: bool) -> None:
    start = "image,xmin,ymin,xmax,ymax,label\n" if header else "a.jpg,1,2,3,4,x\n"
    for content in (start + "\n".join(",".join(line) for line in lines), start.encode() + noise):
        put(root / "boxes.csv", content)
        survives(lambda: read_csv_boxes(root, "all"))


@FUZZ
@given(st.lists(WORDS | st.text(max_size=4), min_size=9, max_size=9), st.binary(max_size=30))
def test_xml(root: Path, words: list[str], noise: bytes) -> None:
    tags = ("name", "difficult", "bndbox><xmin", "xmin", "ymin", "xmax", "ymax", "width", "height")
    inner = "".join(
        f"<{tag}>{word}</{tag.rpartition('<')[2]}>" for tag, word in zip(tags, words, strict=True)
    )
    for content in (
        f"<annotation><size>{inner}</size><object>{inner}</bndbox></object></annotation>",
        f"<?xml version='1.0' encoding='{words[0]}'?><a/>",
        noise,
    ):
        put(root / "Annotations" / "a.xml", content)
        survives(lambda: read_voc(root, "all"))


@FUZZ
@given(LINES, st.binary(max_size=30))
def test_lists_and_tables(root: Path, lines: list[list[str]], noise: bytes) -> None:
    shutil.rmtree(root / "images" / "train", ignore_errors=True)
    for file in ("classes.txt", "train.txt"):
        for content in ("\n".join(" ".join(line) for line in lines), noise):
            put(root / file, content)
            names = None if file == "classes.txt" else ["a"]
            survives(partial(read_mask_folder, root, "train", names))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "train.txt", lists / "train.txt")
    survives(lambda: read_voc_segmentation(root, "train"))


def test_truncated_images(root: Path) -> None:
    """Cut at every 1 KiB and near the start: the size or the pixels are missed, and the file named."""
    put(root / "labels" / "train" / "a.txt", "0 0.5 0.5 0.5 0.5")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png"):
        for old in (root / "images" / "train").iterdir():
            old.unlink()
        done, data = cv2.imencode(Path(name).suffix, pixels)
        assert done and len(data) > 8000
        for length in (0, 1, 3, 10, 30, 100, *range(1024, len(data), 1024)):
            put(root / "images" / "train" / name, data.tobytes()[:length])
            with pytest.raises(InputError, match=name):
                DetectionDataset(read_yolo(root, "train"), Resize((32, 32)))[0]
