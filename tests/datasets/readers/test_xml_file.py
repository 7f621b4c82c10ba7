"""VOC's XML as tools write it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_voc
from pocketvision.datasets.readers.xml_file import parse_xml
from pocketvision.datasets.records.notes import Notes

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
    (item,) = parse_xml(file, Notes()).iter("object")
    assert item.findtext("name") == "\u5c0f\u82b1\u732b"


def test_what_is_no_xml_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"<annotation><object>")
    with pytest.raises(InputError, match=r"a\.xml is no valid XML .*: correct it"):
        parse_xml(tmp_path / "a.xml", Notes())


@pytest.mark.parametrize(
    ("shape", "box", "told"),
    [
        (BOX, (2, 3, 10, 8), ""),
        (BOX.replace(">3<", ">30<"), (9, 3, 30, 8), "swapped"),
        (TRIANGLE, (1, 2, 9, 7), "poly"),
        ("<polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>5</x><y>7</y></pt></polygon>",
         (1, 2, 9, 7), "poly"),
        (f"<robndbox><cx>20</cx><cy>10</cy><w>6</w><h>2</h><angle>{math.pi / 2}</angle></robndbox>",
         (19, 7, 21, 13), "rotated"),
    ],
)  # fmt: skip
def test_shapes(
    tmp_path: Path, write_image: Callable[..., None], shape: str, box: tuple[float, ...], told: str
) -> None:
    file = tmp_path / "a.xml"
    file.write_text(
        BODY.format(shape).replace("<annotation>", '<annotation xmlns="http://x.y/voc">'), "utf-8"
    )
    write_image(tmp_path / "a.jpg", 60, 40)
    records = read_voc(tmp_path, "all")
    assert records.boxes[0].tolist() == pytest.approx(box)
    assert bool(records.notes) == bool(told) and told in " ".join(map(str, records.notes))
