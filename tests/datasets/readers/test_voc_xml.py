"""VOC's XML as tools write it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.counted import Counted
from pocketvision.datasets.readers.voc_xml import object_box, object_name, parse_xml

TRIANGLE = "<polygon><x1>1</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>5</x3><y3>7</y3></polygon>"
BODY = "<annotation><object><name>\u5c0f\u82b1\u732b</name>{}</object></annotation>"
BOX = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>10</xmax><ymax>8</ymax></bndbox>"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [(None, "utf-8"), ("utf-8", "utf-8-sig"), ("gb2312", "gb2312"), (None, "gb18030"), ("utf-16", "utf-16")],
)
def test_encodings(tmp_path: Path, declared: str | None, encoding: str) -> None:
    head = "" if declared is None else f'<?xml version="1.0" encoding="{declared}"?>'
    file = tmp_path / "a.xml"
    file.write_bytes((head + BODY.format(BOX)).encode(encoding))
    (item,) = parse_xml(file).iter("object")
    assert object_name(item, file) == "\u5c0f\u82b1\u732b"


def test_what_is_no_xml_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"<annotation><object>")
    with pytest.raises(InputError, match=r"a\.xml is no valid XML .*: correct it"):
        parse_xml(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("shape", "box", "told"),
    [
        (BOX, (2, 3, 10, 8), ""),
        (BOX.replace(">3<", ">30<"), (9, 3, 30, 8), "swapped"),
        (TRIANGLE, (1, 2, 9, 7), "poly"),
        ("<polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>5</x><y>7</y></pt></polygon>",
         (1, 2, 9, 7), "poly"),
        (f"<robndbox><cx>20</cx><cy>10</cy><w>6</w><h>2</h><angle>{math.pi / 2}</angle></robndbox>",
         (19, 7, 21, 13), "turned"),
    ],
)  # fmt: skip
def test_shapes(tmp_path: Path, shape: str, box: tuple[float, ...], told: str) -> None:
    file, done = tmp_path / "a.xml", Counted()
    file.write_text(
        BODY.format(shape).replace("<annotation>", '<annotation xmlns="http://x.y/voc">'), "utf-8"
    )
    (item,) = parse_xml(file).iter("object")
    assert object_box(item, file, done) == pytest.approx(box)
    assert bool(done) == bool(told) and told in " ".join(done.lines())
