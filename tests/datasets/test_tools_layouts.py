"""Covers datasets/formats/detect.py, datasets/masks/layouts.py, datasets/readers/yolo_layouts.py: exports of
labeling tools and layouts of public data sets, written by hand; all are read as they are meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format, read_mask
from pocketvision.datasets.images.read import match_mask

HEIGHT, WIDTH = 48, 64
NAMES = ("cat", "dog")
BOXES = {f"im{i}": (("cat", (4 + i, 6, 24 + i, 30)), ("dog", (30, 10, 58, 40))) for i in range(4)}
Write = Callable[[Path], None]
DETECTION: dict[str, Write] = {}
SEGMENTATION: dict[str, Write] = {}


def layout(group: dict[str, Write]) -> Callable[[Write], Write]:
    def add(write: Write) -> Write:
        group[write.__name__] = write
        return write

    return add


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(len(path.name)).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((WIDTH, HEIGHT)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def yolo_lines(name: str) -> str:
    lines = ""
    for label, (x1, y1, x2, y2) in BOXES[name]:
        center = f"{(x1 + x2) / 2 / WIDTH:.8f} {(y1 + y2) / 2 / HEIGHT:.8f}"
        lines += f"{NAMES.index(label)} {center} {(x2 - x1) / WIDTH:.8f} {(y2 - y1) / HEIGHT:.8f}\n"
    return lines


def coco(prefix: str = "", *, box: bool = True, polygon: bool = False) -> str:
    images, rows = [], []
    for i, (name, objects) in enumerate(BOXES.items(), start=1):
        images.append({"id": i, "file_name": f"{prefix}{name}.jpg", "width": WIDTH, "height": HEIGHT})
        for label, (x1, y1, x2, y2) in objects:
            row: dict[str, Any] = {"id": len(rows), "image_id": i, "category_id": NAMES.index(label) + 1}
            row |= {"bbox": [x1, y1, x2 - x1, y2 - y1]} if box else {}
            row |= {"segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]} if polygon else {}
            rows.append(row)
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES, start=1)]
    return json.dumps({"images": images, "annotations": rows, "categories": categories})


def mask_of(name: str, values: Iterable[int] = (1, 2)) -> np.ndarray:
    mask, value_of = np.zeros((HEIGHT, WIDTH), dtype=np.uint8), dict(zip(NAMES, values, strict=True))
    for label, (x1, y1, x2, y2) in BOXES[name]:
        mask[y1:y2, x1:x2] = value_of[label]
    return mask


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def split_of(name: str) -> str:
    return "val" if name == "im3" else "train"


@layout(DETECTION)
def cvat_yolo(root: Path) -> None:
    for name in BOXES:
        picture(root / "obj_train_data" / f"{name}.jpg")
        text(root / "obj_train_data" / f"{name}.txt", yolo_lines(name))
    text(root / "obj.names", "cat\ndog\n")
    text(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(root / "train.txt", "".join(f"data/obj_train_data/{name}.jpg\n" for name in BOXES))


@layout(DETECTION)
def fiftyone_coco(root: Path) -> None:
    for name in BOXES:
        picture(root / "data" / f"{name}.jpg")
    text(root / "labels.json", coco())


@layout(DETECTION)
def fiftyone_yolo(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / split_of(name) / f"{name}.jpg")
        text(root / "labels" / split_of(name) / f"{name}.txt", yolo_lines(name))
    yaml = "path: /home/me/set\ntrain: ./images/train/\nval: ./images/val/\nnames:\n  0: cat\n  1: dog\n"
    text(root / "dataset.yaml", yaml)


@layout(DETECTION)
def labelimg_yolo(root: Path) -> None:
    for name in BOXES:
        picture(root / f"{name}.jpg")
        text(root / f"{name}.txt", yolo_lines(name))
    text(root / "classes.txt", "cat\ndog\n")


@layout(DETECTION)
def a_folder_of_both_for_each_split(root: Path) -> None:
    for name in BOXES:
        picture(root / split_of(name) / f"{name}.png")
        text(root / split_of(name) / f"{name}.txt", yolo_lines(name))
    text(root / "class_names.txt", "cat\ndog\n")


@layout(DETECTION)
def oxford_pets_boxes(root: Path) -> None:
    for name, objects in BOXES.items():
        picture(root / "images" / f"{name}.jpg")
        items = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for label, (x1, y1, x2, y2) in objects
        )
        text(root / "annotations" / "xmls" / f"{name}.xml", f"<annotation>{items}</annotation>")


@layout(DETECTION)
def coco_without_bbox(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / f"{name}.jpg")
    text(root / "annotations.json", coco(box=False, polygon=True))


@layout(DETECTION)
def coco_with_percent_codes(root: Path) -> None:
    for name in BOXES:
        picture(root / "my images" / f"{name}.jpg")
    text(root / "result.json", coco("my%20images/"))


@layout(DETECTION)
def coco_with_backslashes(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / "a" / f"{name}.jpg")
    text(root / "result.json", coco("images\\a\\"))


@layout(SEGMENTATION)
def mmsegmentation(root: Path) -> None:
    for name in BOXES:
        picture(root / "img_dir" / split_of(name) / f"{name}.jpg")
        save(root / "ann_dir" / split_of(name) / f"{name}.png", mask_of(name))


@layout(SEGMENTATION)
def camvid_with_class_dict(root: Path) -> None:
    colors = np.array([[0, 0, 0], [64, 128, 64], [192, 0, 128]], dtype=np.uint8)
    for name in BOXES:
        picture(root / split_of(name) / f"{name}.png")
        save(root / f"{split_of(name)}_labels" / f"{name}_L.png", colors[mask_of(name)])
    text(root / "class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,64,128,64\ndog,192,0,128\n")


@layout(SEGMENTATION)
def three_gray_levels(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / f"{name}.jpg")
        save(root / "masks" / f"{name}.png", mask_of(name, (127, 255)))


@layout(SEGMENTATION)
def jpeg_masks(root: Path) -> None:
    for i, name in enumerate(BOXES):
        picture(root / "images" / f"{name}.jpg")
        save(root / "masks" / f"{name}.jpg", mask_of(name, (255, 255)), quality=(50, 75, 95, 100)[i])


@layout(SEGMENTATION)
def cvat_masks(root: Path) -> None:
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], dtype=np.uint8)
    for name in BOXES:
        picture(root / "JPEGImages" / f"{name}.jpg")
        save(root / "SegmentationClass" / f"{name}.png", colors[mask_of(name)])
    rows = "background:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n"
    text(root / "labelmap.txt", f"# label:color_rgb:parts:actions\n{rows}")
    text(root / "ImageSets" / "Segmentation" / "default.txt", "".join(f"{name}\n" for name in BOXES))


@layout(SEGMENTATION)
def masks_with_alpha(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / f"{name}.jpg")
        mask = mask_of(name)
        save(root / "masks" / f"{name}.png", np.dstack([mask, mask, mask, np.full_like(mask, 255)]))


@layout(SEGMENTATION)
def masks_beside_images(root: Path) -> None:
    for name in BOXES:
        picture(root / f"{name}.jpg")
        save(root / f"{name}_mask.png", mask_of(name, (255, 255)))


@layout(SEGMENTATION)
def carvana(root: Path) -> None:
    for name in BOXES:
        picture(root / "train" / f"{name}.jpg")
        save(root / "train_masks" / f"{name}_mask.gif", mask_of(name, (255, 255)))


@layout(SEGMENTATION)
def coco_polygons(root: Path) -> None:
    for name in BOXES:
        picture(root / "images" / f"{name}.jpg")
    text(root / "result.json", coco(polygon=True))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", DETECTION)
def test_boxes(name: str, tmp_path: Path) -> None:
    DETECTION[name](tmp_path / "data")
    found = detect_format(tmp_path / "data")
    seen = set()
    for split in found.splits:
        records: Any = found.read(split)
        for i, path in enumerate(records.image_paths):
            own = records.boxes_of(i)
            labels = [records.class_names[label] for label in records.labels[own]]
            rows = sorted(zip(labels, records.boxes[own].tolist(), strict=True))
            seen.add(Path(path).stem)
            for (label, box), (right, expected) in zip(rows, sorted(BOXES[Path(path).stem]), strict=True):
                assert label == right and box == pytest.approx(expected, abs=0.01)
    assert seen == BOXES.keys()


@pytest.mark.parametrize("name", SEGMENTATION)
def test_masks(name: str, tmp_path: Path) -> None:
    SEGMENTATION[name](tmp_path / "data")
    found = detect_format(tmp_path / "data", "segmentation")
    seen = set()
    for split in found.splits:
        records: Any = found.read(split)
        for path, file in zip(records.image_paths, records.mask_paths, strict=True):
            expected = mask_of(Path(path).stem, (1, 1) if len(records.class_names) == 2 else (1, 2))
            assert np.array_equal(records.to_classes(match_mask(read_mask(file), path), file), expected), file
            seen.add(Path(path).stem)
    assert seen == BOXES.keys()


@pytest.mark.parametrize(
    ("file", "words"),
    [("a.zip", "unpack it"), ("a.tfrecord", "export the data as COCO JSON"), ("a.parquet", "as files")],
)
def test_what_else_lies_there_is_said(tmp_path: Path, file: str, words: str) -> None:
    (tmp_path / file).write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match=f"holds no data set of a known format, but {file}; .*{words}"):
        detect_format(tmp_path)
