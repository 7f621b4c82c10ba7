"""A report as one HTML page: tables and pictures, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PillowImage

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; display: block; font-size: 14px; overflow-x: auto; }
th, td { padding: .15rem .45rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; } th { background: #f3f3f3; }
img { max-width: 100%; height: auto; } p { max-width: 50rem; overflow-wrap: anywhere; }
img.photo { position: relative; left: 50%; transform: translateX(-50%); max-width: calc(100vw - 3rem); }
.good, .bad { max-width: none; padding: .6rem 1rem; border-left: .5rem solid; font-weight: 600; }
.good { background: #e3f3ea; border-color: #00704f; } .bad { background: #fbe7dc; border-color: #b34700; }
"""
_JPEG_QUALITY = 85

Cells = Sequence[str]


class Section(NamedTuple):
    """A part of the page: text, a table whose first row is its head, a drawing (PNG), a photograph (RGB).

    A photograph may be wider than the text.
    """

    title: str
    text: str = ""
    table: Sequence[Cells] = ()
    picture: bytes | None = None
    photo: Image | None = None


class Verdict(NamedTuple):
    """What a page says on top."""

    is_good: bool
    text: str


def write_page(path: Path, title: str, sections: Sequence[Section], verdict: Verdict | None = None) -> None:
    """Write the page: the verdict if there is one, then the sections."""
    parts = [] if verdict is None else [_verdict(verdict)]
    parts += [_section(section) for section in sections]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page + "\n".join(parts) + "\n</html>\n", encoding="utf-8")


def _verdict(verdict: Verdict) -> str:
    return f'<p class="{"good" if verdict.is_good else "bad"}">{html.escape(verdict.text)}</p>'


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.table:
        parts.append(_table(section.table))
    if section.picture is not None:
        parts.append(_image(section.picture, "png", section.title, "drawing"))
    if section.photo is not None:
        file = io.BytesIO()
        PillowImage.fromarray(section.photo).save(file, format="JPEG", quality=_JPEG_QUALITY)
        parts.append(_image(file.getvalue(), "jpeg", section.title, "photo"))
    return "\n".join(parts)


def _table(rows: Sequence[Cells]) -> str:
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(rows[0])
    kinds = [' class="text"' if any(_is_text(cell) for cell in column) else "" for column in columns]
    head = _cells("th", rows[0], kinds)
    body = (_cells("td", row, kinds) for row in rows[1:])
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in body) + "\n</table>"


def _is_text(cell: str) -> bool:
    """Whether a column with this cell holds words, which are read from the left, and not numbers."""
    return cell[:1].isalpha() and cell not in ("n/a", "inf", "nan")


def _cells(tag: str, row: Cells, kinds: Sequence[str]) -> str:
    return "".join(f"<{tag}{kind}>{html.escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True))


def _image(data: bytes, kind: str, title: str, css_class: str) -> str:
    code = base64.b64encode(data).decode("ascii")
    return f'<img class="{css_class}" alt="{html.escape(title)}" src="data:image/{kind};base64,{code}">'
