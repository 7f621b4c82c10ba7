"""Pascal VOC: ``Annotations/*.xml``, ``JPEGImages/`` and ``ImageSets/Main/{split}.txt``.

Coordinates in the XML are pixels counted from 1, both ends included (VOC devkit, sec. 4.2): a box
from pixel ``xmin`` to pixel ``xmax`` covers ``xmin - 1 .. xmax`` in our coordinates, and likewise in y.
Objects marked ``difficult`` are trained on, but evaluation ignores them, as the devkit does. Polygons
and rotated boxes of other tools count from 0.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.core.structures import Size
from pocketvision.datasets.convert import write_voc
from pocketvision.datasets.formats.contract import DataFormat, Layout, read_split
from pocketvision.datasets.readers.image_stems import ImageStems
from pocketvision.datasets.readers.stated import (
    Polygon,
    StatedBox,
    StatedImage,
    StatedObject,
    box_records,
    rotated_corners,
)
from pocketvision.datasets.readers.tree import IMAGE_SUFFIXES, FileTree
from pocketvision.datasets.readers.values import as_number
from pocketvision.datasets.readers.voc_layouts import (
    VocLayout,
    check_listing,
    file_of_name,
    find_voc,
    image_folders_of,
    listed_names,
    xml_stem,
)
from pocketvision.datasets.readers.xml_file import parse_xml
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.kinds import (
    ANNOTATION_BROKEN,
    ANNOTATION_INCOMPLETE,
    ANNOTATION_MISSING,
    BOX_NOT_FINITE,
    BOX_NOT_NUMBER,
    IMAGE_MISSING,
)
from pocketvision.datasets.records.notes import Notes

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_MAX_SIZE = 1 << 20
"""A stated width or height beyond this is a mistake, and the image is asked instead."""


def find(tree: FileTree) -> Layout | None:
    """Lists of ``ImageSets/Main``, else the folders of XML files that speak of splits."""
    found = find_voc(tree)
    if found is None:
        return None
    listing = next((split.listing for split in found.splits.values() if split.listing), None)
    place = listing.parent if listing is not None else None
    return Layout(tree, {name: (found, split) for name, split in found.splits.items()}, place)


def read(layout: Layout, split: str, notes: Notes) -> DetectionRecords:
    """Class names (in the order of ``classes.txt`` if there is one, else sorted) and image ids (rank of the
    annotation, from 1) are taken from all annotations, so that every split agrees. An image belongs to the
    annotation with its stem, whatever file name the XML states.
    """
    found, own = layout.splits[split]
    wanted = list(own.files) if own.listing is None else _listed(found, own.listing, split, notes)
    members, elsewhere = set(wanted), Notes(strict=notes.strict)
    unread = [file for file in found.files if file in members or file not in found.labels]
    parsed = {}
    for file in track(iter(unread), len(unread), f"annotations of {split}", "files"):
        image = _parse(file, notes if file in members else elsewhere)
        found.labels[file] = {item.label for item in image.objects} if image is not None else set()
        if file in members:
            parsed[file] = image
    labels = sorted(set().union(*found.labels.values()))
    stems = ImageStems(layout.tree, split, notes)
    images = []
    for file in wanted:
        notes.read.add(str(file))
        image = parsed[file]
        if image is not None and (path := _find_image(file, own.listing, stems)) is not None:
            image.path, image.image_id = path, found.rank[file]
            images.append(image)
    return box_records(images, labels, split, layout.tree, notes, convention="voc")


def read_voc(root: str | Path, split: str) -> DetectionRecords:
    """Read a VOC detection split of the folder ``root``; see :func:`read`.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    records: DetectionRecords = read_split(FORMAT, root, split)
    return records


def _listed(found: VocLayout, listing: Path, split: str, notes: Notes) -> list[Path]:
    """The XML files of the names in a list."""
    notes.read.add(str(listing))
    names = listed_names(listing)
    check_listing(listing, names, split)
    files, wanted = file_of_name(found), dict[Path, None]()
    for name in names:
        file = files.get(name) or files.get(name.rpartition("/")[2])
        if file is not None:
            wanted[file] = None
            continue
        folder = found.files[0].parent if found.files else listing.parents[2] / "Annotations"
        sentence = (
            f"{listing} names '{name}', and there is no annotation {folder / name}.xml: add it, or remove "
            "the line."
        )
        notes.add(ANNOTATION_MISSING, listing, sentence, name)
    return list(wanted)


def _find_image(file: Path, listing: Path | None, stems: ImageStems) -> Path | None:
    stem, folders = xml_stem(file), image_folders_of(file, stems.tree)
    found = stems.find(stem, folders, file)
    if found is None:
        folder = folders[1] if len(folders) > 1 else folders[0]
        what = f"the line '{stem}' from {listing}" if listing else str(file)
        suffixes = ", ".join(IMAGE_SUFFIXES[1:5])
        sentence = f"{file}: there is no image {folder / stem}.jpg (or {suffixes}): add it, or remove {what}."
        stems.notes.add(IMAGE_MISSING, file, sentence, f"{stem}.jpg")
    return found


def _parse(file: Path, notes: Notes) -> StatedImage | None:
    """What an XML file says; None if it can't be read."""
    try:
        tree = parse_xml(file, notes)
    except InputError as error:
        notes.add(ANNOTATION_BROKEN, file, str(error), _place_of(str(error)))
        return None
    image = StatedImage(file.stem, file, size=_size(tree))
    for number, item in enumerate(tree.iter("object"), start=1):
        if (item.findtext("deleted") or "0").strip() == "1":
            continue
        found = _object(item, number, file, notes)
        if found is not None:
            image.objects.append(found)
    return image


def _place_of(sentence: str) -> str:
    return sentence.partition("(")[2].partition(")")[0]


def _object(item: ET.Element, number: int, file: Path, notes: Notes) -> StatedObject | None:
    name = (item.findtext("name") or "").strip()
    where = f"object {number}" + (f" ({name})" if name else "")
    if not name:
        notes.add(
            ANNOTATION_INCOMPLETE,
            file,
            f"{file} has an object without a name ({where}): add its class as <name>.",
            where,
        )
        return None
    difficult = (item.findtext("difficult") or "0").strip().lower() in ("1", "true")
    if item.find("bndbox") is None:
        outline = _outline(item)
        if outline:
            return StatedObject(name, where, outlines=(outline,), difficult=difficult)
    box = _box(item, name, where, file, notes)
    return None if box is None else StatedObject(name, where, box, difficult=difficult)


def _box(item: ET.Element, name: str, where: str, file: Path, notes: Notes) -> StatedBox | None:
    """xyxy, with the first pixel counted from 0."""
    texts = [item.findtext(f"bndbox/{side}") for side in _SIDES]
    values = [as_number((text or "").strip().replace(",", ".")) for text in texts]
    for side, text, value in zip(_SIDES, texts, values, strict=True):
        if value is None or not math.isfinite(value):
            sentence = (
                f"{file} has an object '{name}' whose {side} is {text!r} instead of a number: correct it."
            )
            notes.add(BOX_NOT_NUMBER if value is None else BOX_NOT_FINITE, file, sentence, where)
            return None
    left, top, right, bottom = (float(value or 0.0) for value in values)
    return left - 1, top - 1, right, bottom


def _outline(item: ET.Element) -> Polygon:
    """Corners of a polygon (``x1 y1 ...`` or ``pt``) or of roLabelImg's rotated box, or an empty list."""
    rotated, polygon = item.find("robndbox"), item.find("polygon")
    if rotated is not None:
        values = [as_number(rotated.findtext(side)) for side in ("cx", "cy", "w", "h", "angle")]
        numbers = [value for value in values if value is not None and math.isfinite(value)]
        return rotated_corners(*numbers) if len(numbers) == 5 else []
    if polygon is None:
        return []
    points = polygon.findall("pt")
    pairs = [(point.findtext("x"), point.findtext("y")) for point in points]
    count = 1
    while not points and polygon.find(f"x{count}") is not None:
        pairs.append((polygon.findtext(f"x{count}"), polygon.findtext(f"y{count}")))
        count += 1
    corners = [(as_number(x), as_number(y)) for x, y in pairs]
    known = [(x, y) for x, y in corners if x is not None and y is not None and math.isfinite(x + y)]
    return known if len(known) == len(corners) >= 3 else []


def _size(tree: ET.Element) -> Size | None:
    sides = [as_number(tree.findtext(f"size/{side}")) for side in ("height", "width")]
    height, width = (int(side) if side is not None and 1 <= side < _MAX_SIZE else 0 for side in sides)
    return (height, width) if height and width else None


FORMAT = DataFormat(
    name="voc",
    task="detection",
    title="Pascal VOC boxes",
    signs="Annotations/*.xml and JPEGImages, or XML beside images",
    find=find,
    read=read,
    write=write_voc.WRITER,
    data_module="VocDataModule",
)
