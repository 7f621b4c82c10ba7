"""Cleaned annotations in the format in which they came."""

from __future__ import annotations

import copy
import csv
import io
import math
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pocketvision.core.files import replacing
from pocketvision.datasets.readers.yolo_labels import label_files
from pocketvision.doctor.fixes.detection import AnnotationWriter, FixedBoxes
from pocketvision.doctor.fixes.images import relative
from pocketvision.doctor.raw.conventions import CONVENTIONS
from pocketvision.doctor.raw.csv import Columns
from pocketvision.doctor.raw.stated import parse_number

_Json = dict[str, Any]


def write_coco(fixed: FixedBoxes, output: Path) -> None:
    """The same JSON files with the rows that stay; what is not ours in them stays too."""
    for file, content in fixed.data.sources.items():
        ids: dict[str, int] = {}
        categories = []
        for row in content["categories"]:
            stated = row.get("name") if isinstance(row, dict) else None
            name = fixed.name_of.get(stated) if isinstance(stated, str) else None
            if name is not None and name not in ids and type(row.get("id")) is int:
                ids[name] = row["id"]
                categories.append({**row, "name": name})
        images, annotations = [], []
        for i in (i for i in fixed.images if fixed.data.images[i].file == file):
            image = fixed.data.images[i]
            folder = relative(image.path, fixed.data.root).parents[len(Path(image.name).parts) - 1]
            height, width = fixed.images[i].size
            name = os.path.relpath(fixed.images[i].name, folder)
            images.append({**image.source, "file_name": name, "height": height, "width": width})
            annotations += [_coco_row(fixed, row, ids) for row in fixed.rows[i]]
        cleaned = {**content, "images": images, "annotations": annotations, "categories": categories}
        _write(output / file.relative_to(fixed.data.root), orjson.dumps(cleaned))


def _coco_row(fixed: FixedBoxes, row: int, ids: dict[str, int]) -> _Json:
    source: _Json = {**fixed.data.boxes.sources[row], "category_id": ids[fixed.class_of(row)]}
    area = parse_number(source.get("area"))
    left, top, right, bottom = fixed.boxes[row].tolist()
    if fixed.changed[row]:
        source["bbox"] = [round(side, 3) for side in (left, top, right - left, bottom - top)]
        source.pop("segmentation", None)  # it does not fit the box any more
    if fixed.changed[row] or area is None or not math.isfinite(area):
        source["area"] = round((right - left) * (bottom - top), 3)
    return source


def write_voc(fixed: FixedBoxes, output: Path) -> None:
    """XML files with the objects that stay, and the lists of splits without the images that do not."""
    root = fixed.data.root
    for i, written in fixed.images.items():
        image = fixed.data.images[i]
        tree = copy.deepcopy(image.source)
        kept = {id(fixed.data.boxes.sources[row]): row for row in fixed.rows[i]}
        for parent, new_parent in zip(image.source.iter(), list(tree.iter()), strict=True):
            for item, new in zip(list(parent), list(new_parent), strict=True):
                if item.tag == "object" and id(item) not in kept:
                    new_parent.remove(new)
                elif item.tag == "object":
                    _fix_object(new, fixed, kept[id(item)])
        _set(tree, "filename", written.name.name)
        _set(tree, "size/height", str(written.size[0]))
        _set(tree, "size/width", str(written.size[1]))
        name = written.name.with_suffix(".xml").name
        _write(output / relative(image.file, root).with_name(name), ET.tostring(tree, encoding="utf-8"))
    for listing, split in fixed.data.sources.items():
        stems = [fixed.images[i].name.stem for i in fixed.of_split(split)]
        _write(output / listing.relative_to(root), "".join(f"{stem}\n" for stem in stems).encode())


def _fix_object(item: ET.Element, fixed: FixedBoxes, row: int) -> None:
    _set(item, "name", fixed.class_of(row))
    if fixed.changed[row]:
        numbers = CONVENTIONS["voc"].encode(fixed.boxes[row][None], np.ones((1, 2)))[0].tolist()
        for side, number in zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=True):
            _set(item, f"bndbox/{side}", f"{number:.10g}")


def _set(tree: ET.Element, path: str, text: str) -> None:
    """Set the text of the element at ``path``, which is made if it is missing."""
    for name in path.split("/"):
        found = tree.find(name)
        tree = ET.SubElement(tree, name) if found is None else found
    tree.text = text


def write_yolo(fixed: FixedBoxes, output: Path) -> None:
    """Label files, a list of images for each split, and a data.yaml that names both."""
    index = {name: i for i, name in enumerate(fixed.class_names)}
    paths = [output / written.name for written in fixed.images.values()]
    for folder in {path.parent for path in paths if "images" in path.parts}:
        parts = list(folder.parts)
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        Path(*parts).mkdir(parents=True, exist_ok=True)
    for (i, written), file in zip(fixed.images.items(), label_files(paths, output), strict=True):
        size = np.array([written.size], dtype=np.float64)
        lines = []
        for row in fixed.rows[i]:
            fields = fixed.data.boxes.sources[row][1:]
            if fixed.changed[row] or len(fields) == 4:
                numbers = CONVENTIONS["yolo"].encode(fixed.boxes[row][None], size)[0].tolist()
                fields = [f"{number:.10g}" for number in numbers]
            lines.append(" ".join([str(index[fixed.class_of(row)]), *fields]) + "\n")
        _write(file, "".join(lines).encode())
    entries = [f"  {i}: {orjson.dumps(name).decode()}" for name, i in index.items()]
    for split in fixed.splits:
        names = [f"./{fixed.images[i].name.as_posix()}\n" for i in fixed.of_split(split)]
        _write(output / f"{split}.txt", "".join(names).encode())
    sources = [f"{split}: {split}.txt" for split in fixed.splits]
    _write(output / "data.yaml", "\n".join([*sources, "names:", *entries, ""]).encode())


def write_csv(fixed: FixedBoxes, output: Path) -> None:
    """The same CSV files with the rows that stay; an image that has none left is a row without box."""
    for file, columns in fixed.data.sources.items():
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        if columns.has_header:
            writer.writerow(columns.names)
        folder = relative(file, fixed.data.root).parent
        for i in (i for i in fixed.images if fixed.data.images[i].file == file):
            name = os.path.relpath(fixed.images[i].name, folder)
            if not fixed.rows[i]:
                writer.writerow(_background(columns, name, fixed.data.images[i].splits))
            for row in fixed.rows[i]:
                writer.writerow(_csv_row(fixed, row, columns, name))
        _write(output / file.relative_to(fixed.data.root), stream.getvalue().encode())


def _csv_row(fixed: FixedBoxes, row: int, columns: Columns, name: str) -> list[str]:
    fields = list(fixed.data.boxes.sources[row])
    fields[columns.image], fields[columns.label] = name, fixed.class_of(row)
    if fixed.changed[row]:
        numbers = CONVENTIONS[columns.convention].encode(fixed.boxes[row][None], np.ones((1, 2)))[0].tolist()
        for column, number in zip(columns.box, numbers, strict=True):
            fields[column] = f"{number:.10g}"
    return fields


def _background(columns: Columns, name: str, splits: tuple[str, ...]) -> list[str]:
    fields = [""] * max(len(columns.names), 6)
    fields[columns.image] = name
    if columns.split is not None:
        fields[columns.split] = splits[0]
    return fields


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


WRITERS: dict[str, AnnotationWriter] = {
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "csv": write_csv,
}
"""Format -> writer."""
