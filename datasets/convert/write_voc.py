"""Detection records -> Pascal VOC, as :func:`read_voc` reads it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from pocketvision.core.files import replacing
from pocketvision.datasets.convert.common import ConversionTarget, DetectionWriter, Holds, Splits, all_images
from pocketvision.datasets.records.annotations import DetectionRecords


def write_voc(splits: Splits, target: ConversionTarget) -> None:
    """Write all splits; ``classes.txt``, which VOC does not know, keeps the order of the classes."""
    places = target.place_images(all_images(splits), target.folder / "JPEGImages")
    for split, records in splits.items():
        images = [places[path] for path in records.image_paths]
        for index, image in enumerate(images):
            _write_xml(records, index, image, target.folder / "Annotations" / f"{image.stem}.xml")
        lines = [image.stem for image in images]
        _write_lines(target.folder / "ImageSets" / "Main" / f"{split}.txt", lines)
    names = next(iter(splits.values())).class_names
    _write_lines(target.folder / "classes.txt", [name for name in names if name is not None])


def _write_xml(records: DetectionRecords, index: int, image: Path, file: Path) -> None:
    root = ET.Element("annotation")
    height, width = records.sizes[index].tolist()
    _add(root, "folder", image.parent.name)
    _add(root, "filename", image.name)
    size = ET.SubElement(root, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, name, value)
    owned = records.boxes_of(index)
    difficult = records.difficult
    for i in range(owned.start, owned.stop):
        item = ET.SubElement(root, "object")
        _add(item, "name", str(records.class_names[records.labels[i]]))
        _add(item, "difficult", int(difficult is not None and difficult[i]))
        box = ET.SubElement(item, "bndbox")
        x1, y1, x2, y2 = records.boxes[i].tolist()
        # Counted from 1 with both ends included, see the reader.
        for name, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            _add(box, name, int(value) if value.is_integer() else value)
    ET.indent(root)
    with replacing(file) as temporary:
        ET.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _add(parent: ET.Element, name: str, value: str | float) -> None:
    ET.SubElement(parent, name).text = str(value)


def _write_lines(file: Path, lines: list[str]) -> None:
    with replacing(file) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


WRITER = DetectionWriter(write_voc, Holds(difficult=True))
