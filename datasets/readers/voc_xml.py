"""VOC's XML as tools write it: encodings, namespaces, and objects that are polygons or turned boxes."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.counted import Counted

_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"'][^>]*\?>")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}
VocBox = tuple[float, float, float, float]


def parse_xml(file: Path) -> ET.Element:
    """The root of an XML file, tags without namespaces.

    Raises:
        InputError: it is no XML in any usual encoding.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the file.") from None
    try:
        root = ET.fromstring(content)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        other = _decoded(content)
        if other is None:
            raise InputError(f"{file} is no valid XML ({error}): correct it, or export it again.") from None
        root = other
    if "}" in root.tag:
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
    return root


def _decoded(content: bytes) -> ET.Element | None:
    """The root where the parser does not know the encoding, or nothing states it."""
    declared = _DECLARATION.match(content)
    body = content[declared.end() :] if declared else content
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    for encoding in (_WIDER.get(name, name), "gb18030"):
        try:
            return ET.fromstring(body.decode(encoding))
        except (ET.ParseError, ValueError, LookupError, RecursionError):
            continue
    return None


def object_name(item: ET.Element, file: Path) -> str:
    """The class of an object.

    Raises:
        InputError: it has none.
    """
    name = (item.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{file} has an object without a name: add its class as <name>.")
    return name


def object_box(item: ET.Element, file: Path, done: Counted) -> VocBox:
    """xyxy of an object, pixels counted from 0; the box around a polygon or turned box.

    Raises:
        InputError: a side is missing or no number.
    """
    place = f"{file}, {object_name(item, file)}"
    if item.find("bndbox") is None and (around := _around(item)) is not None:
        done.add("objects are polygons or turned boxes and are taken for the boxes around them", place)
        return around
    xmin, ymin, xmax, ymax = (_number(item, side, file) for side in _SIDES)
    if xmax < xmin - 1 or ymax < ymin - 1:  # boxes of less than a pixel end before they begin
        done.add("boxes with swapped corners were sorted", place)
        xmin, xmax, ymin, ymax = min(xmin, xmax), max(xmin, xmax), min(ymin, ymax), max(ymin, ymax)
    return xmin - 1, ymin - 1, xmax, ymax


def _number(item: ET.Element, side: str, file: Path) -> float:
    text = item.findtext(f"bndbox/{side}")
    value = _float(text)
    if value is None:
        raise InputError(
            f"{file} has an object '{object_name(item, file)}' whose {side} is {text!r} instead of a number: "
            "correct it."
        )
    return value


def _float(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _around(item: ET.Element) -> VocBox | None:
    """The box around LabelMe's or CVAT's polygon, or roLabelImg's turned box."""
    polygon = item.find("polygon")
    if polygon is not None:
        xs = [_float(e.text) for e in polygon.iter() if re.fullmatch(r"x\d*", e.tag)]
        ys = [_float(e.text) for e in polygon.iter() if re.fullmatch(r"y\d*", e.tag)]
        if len(xs) < 3 or len(xs) != len(ys) or None in (*xs, *ys):
            return None
        x, y = [value for value in xs if value is not None], [value for value in ys if value is not None]
        return min(x), min(y), max(x), max(y)
    values = [_float(item.findtext(f"robndbox/{name}")) for name in ("cx", "cy", "w", "h", "angle")]
    if None in values:
        return None
    center_x, center_y, width, height, angle = (value for value in values if value is not None)
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    half_x, half_y = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return center_x - half_x, center_y - half_y, center_x + half_x, center_y + half_y
