"""Covers datasets/formats/__init__.py, datasets/formats/contract.py, datasets/readers/stated.py,
datasets/readers/image_stems.py, datasets/readers/image_sizes.py, datasets/readers/values.py.

One tiny detection data set, written by hand in every format: all readers give the same samples.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionDataset, DetectionRecords, detect_format

HEIGHT, WIDTH = 48, 64
NAMES = ("cat", "dog", "über maus")


@dataclass(frozen=True)
class Picture:
    """An image file with boxes as (label, x1, y1, x2, y2) in whole pixels."""

    name: str
    boxes: tuple[tuple[int, int, int, int, int], ...]
    seed: int

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        small = np.random.default_rng(self.seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        done, data = cv2.imencode(Path(self.name).suffix, cv2.resize(small, (WIDTH, HEIGHT)))
        assert done
        (folder / self.name).write_bytes(data.tobytes())


SPLITS = {
    "train": (
        Picture("a.jpg", ((0, 0, 0, WIDTH, HEIGHT), (1, 10, 5, 30, 20)), 1),
        Picture("b ü 漢.png", ((2, 0, 7, 13, HEIGHT), (2, 50, 0, WIDTH, 9), (0, 3, 3, 4, 4)), 2),
        Picture("c empty.jpg", (), 3),
        Picture("d.v2.png", ((1, 63, 47, 64, 48),), 4),
    ),
    "val": (Picture("e.jpg", ((1, 1, 2, 60, 40),), 5), Picture("f.png", (), 6)),
}


def write_coco(root: Path, file: str = "instances_{}.json", folder: str = "{}") -> None:
    for split, pictures in SPLITS.items():
        images, rows = [], []
        for image_id, picture in enumerate(pictures, start=1):
            picture.write(root / folder.format(split))
            images.append({"id": image_id, "file_name": picture.name, "height": HEIGHT, "width": WIDTH})
            for label, x1, y1, x2, y2 in picture.boxes:
                box = [x1, y1, x2 - x1, y2 - y1]
                rows.append(
                    {"id": len(rows) + 1, "image_id": image_id, "category_id": label + 1, "bbox": box}
                )
        categories = [{"id": i, "name": name} for i, name in enumerate(NAMES, start=1)]
        content = {"images": images, "annotations": rows, "categories": categories}
        path = root / file.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def write_roboflow_coco(root: Path) -> None:
    write_coco(root, "{}/_annotations.coco.json")
    (root / "val").rename(root / "valid")


def write_custom_coco(root: Path) -> None:
    write_coco(root, "annotations/my_{}_boxes.json", "images")


def _xml(picture: Picture) -> str:
    objects = "".join(
        f"<object><name>{NAMES[label]}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in picture.boxes
    )
    return f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>"


def write_voc(root: Path) -> None:
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, pictures in SPLITS.items():
        for picture in pictures:
            picture.write(root / "JPEGImages")
            (root / "Annotations" / f"{picture.stem}.xml").write_text(_xml(picture), encoding="utf-8")
        lines = "\r\n".join(picture.stem for picture in pictures)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")
    (root / "ImageSets" / "Main" / "cat_train.txt").write_text("a  1\n")


def write_mixed_voc(root: Path) -> None:
    """Images and XML files in a folder a split, as Roboflow exports them."""
    for split, pictures in {"train": SPLITS["train"], "valid": SPLITS["val"]}.items():
        for picture in pictures:
            picture.write(root / split)
            (root / split / f"{picture.stem}.xml").write_text(_xml(picture), encoding="utf-8")


def _txt(picture: Picture, polygon: bool = False) -> str:
    lines = []
    for label, *box in picture.boxes:
        x1, y1, x2, y2 = (value / side for value, side in zip(box, (WIDTH, HEIGHT) * 2, strict=True))
        center = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        corners = (x1, y1, x2, y1, x2, y2, x1, y2)
        lines.append(" ".join(map(str, (label, *(corners if polygon else center)))))
    return "\n".join(lines)


def _write_labels(folder: Path, pictures: tuple[Picture, ...], polygon: bool = False) -> None:
    """No file for the last background image, an empty one for others."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        if picture.boxes or picture is not SPLITS["train"][2]:
            (folder / f"{picture.stem}.txt").write_text(_txt(picture, polygon))


def write_yolo(root: Path) -> None:
    for split, pictures in SPLITS.items():
        for picture in pictures:
            picture.write(root / "images" / split)
        _write_labels(root / "labels" / split, pictures)
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(NAMES))
    text = f"path: ../elsewhere/data\ntrain: images/train\nval: images/val\ntest:\nnames:\n{names}\n"
    (root / "data.yaml").write_text(text, encoding="utf-8")


def write_roboflow_yolo(root: Path) -> None:
    """``../train/images`` for what lies beside the yaml, a test folder that is not there, polygons."""
    for split, pictures in {"train": SPLITS["train"], "valid": SPLITS["val"]}.items():
        for picture in pictures:
            picture.write(root / split / "images")
        _write_labels(root / split / "labels", pictures, polygon=True)
    names = json.dumps(NAMES, ensure_ascii=False)
    paths = "".join(f"{key}: ../{folder}/images\n" for key, folder in (("train", "train"), ("val", "valid")))
    (root / "data.yaml").write_text(f"{paths}test: ../test/images\nnc: 3\nnames: {names}\n", encoding="utf-8")


def write_listed_yolo(root: Path) -> None:
    """Darknet: lists of images with their labels beside them, names in a file of lines."""
    for split, pictures in SPLITS.items():
        for picture in pictures:
            picture.write(root / "obj")
        _write_labels(root / "obj", pictures)
        lines = "\n".join(f"./obj/{picture.name}" for picture in pictures)
        (root / f"{split}.txt").write_text(lines, encoding="utf-8")
    (root / "data.yaml").write_text(
        f"train: train.txt\nval: [val.txt]\nnames: {list(NAMES)}", encoding="utf-8"
    )


def write_csv(root: Path) -> None:
    header = ("label", "Filename", "xmin", "ymin", "xmax", "ymax", "split", "width", "height")
    rows: list[tuple[Any, ...]] = [header]
    for split, pictures in SPLITS.items():
        for picture in pictures:
            picture.write(root / "images")
            end = (split, WIDTH, HEIGHT)
            rows += [(NAMES[label], picture.name, *box, *end) for label, *box in picture.boxes]
            rows += [] if picture.boxes else [("", picture.name, "", "", "", "", *end)]
    _rows(root / "boxes.csv", rows, ";")


def write_xywh_csv(root: Path) -> None:
    for split, pictures in SPLITS.items():
        rows: list[tuple[Any, ...]] = [("image", "class", "x", "y", "w", "h")]
        for picture in pictures:
            picture.write(root / split)
            boxes = [(NAMES[i], x1, y1, x2 - x1, y2 - y1) for i, x1, y1, x2, y2 in picture.boxes]
            rows += [(picture.name, *box) for box in boxes or [("", "", "", "", "")]]
        _rows(root / f"{split}_labels.csv", rows)


def write_retinanet_csv(root: Path) -> None:
    for split, pictures in SPLITS.items():
        rows: list[tuple[Any, ...]] = []
        for picture in pictures:
            picture.write(root / "pictures")
            path = f"pictures/{picture.name}"
            rows += [(path, *box, NAMES[i]) for i, *box in picture.boxes] or [(path, "", "", "", "", "")]
        _rows(root / f"{split}.csv", rows)


def _rows(file: Path, rows: list[tuple[Any, ...]], delimiter: str = ",") -> None:
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "coco": ("coco", write_coco),
    "coco by Roboflow": ("coco", write_roboflow_coco),
    "coco of other names": ("coco", write_custom_coco),
    "voc": ("voc", write_voc),
    "voc, XML beside images": ("voc", write_mixed_voc),
    "yolo": ("yolo", write_yolo),
    "yolo by Roboflow": ("yolo", write_roboflow_yolo),
    "yolo with lists": ("yolo", write_listed_yolo),
    "csv with splits": ("csv", write_csv),
    "csv of corner and size": ("csv", write_xywh_csv),
    "csv without header": ("csv", write_retinanet_csv),
}


Samples = dict[str, tuple[torch.Tensor, torch.Tensor, list[str], tuple[int, int]]]


def samples(records: DetectionRecords) -> Samples:
    """Image name -> pixels, boxes, names of their classes and size, through the data set."""
    dataset = DetectionDataset(records, Resize((HEIGHT, WIDTH)))
    found = {}
    for index, path in enumerate(records.image_paths):
        image, target = dataset[index]
        names = [str(records.class_names[label]) for label in target.labels.tolist()]
        found[Path(path).name] = (image, target.boxes, names, target.original_size)
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Samples]:
    """The samples as they were drawn, from no reader at all."""
    root = tmp_path_factory.mktemp("expected")
    result: dict[str, Samples] = {}
    for split, pictures in SPLITS.items():
        result[split] = {}
        for picture in pictures:
            picture.write(root)
            data = np.frombuffer((root / picture.name).read_bytes(), dtype=np.uint8)
            pixels = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            boxes = torch.tensor([box for _, *box in picture.boxes], dtype=torch.float32).reshape(-1, 4)
            image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
            names = [NAMES[label] for label, *_ in picture.boxes]
            result[split][picture.name] = (image, boxes, names, (HEIGHT, WIDTH))
    return result


@pytest.mark.parametrize("name", FORMATS)
def test_every_reader_gives_the_same_samples(name: str, tmp_path: Path, expected: dict[str, Samples]) -> None:
    form, write = FORMATS[name]
    root = tmp_path / "my data é"
    root.mkdir()
    write(root)
    found = detect_format(root)
    assert (found.format, found.task, set(found.splits)) == (form, "detection", {"train", "val"})
    assert "divide" not in found.arguments and str(root) in found.description
    for split, pictures in expected.items():
        records = found.read(split)
        assert isinstance(records, DetectionRecords)
        assert records.class_names == NAMES
        assert all(note.kind.severity == "info" for note in records.notes)
        assert len(set(records.image_ids.tolist())) == len(records)
        own = samples(records)
        assert own.keys() == pictures.keys()
        for picture, (image, boxes, names, size) in pictures.items():
            assert torch.equal(own[picture][0], image)
            assert torch.equal(own[picture][1], boxes), picture
            assert own[picture][2:] == (names, size)
