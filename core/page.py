"""A report as one HTML page: tables and pictures, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image as PillowImage

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image

_HERE = Path(__file__).parent
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
    page = render(_HERE / "sections.html", title=title, sections=sections, verdict=verdict)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(template: Path, **values: Any) -> str:
    """The page of a template, which extends ``page.html`` beside this file.

    Values are escaped. Templates may call :func:`png_url`, :func:`jpeg_url` and :func:`columns_of_text`.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, _HERE]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals.update(png_url=png_url, jpeg_url=jpeg_url, columns_of_text=columns_of_text)
    return environment.get_template(template.name).render(**values)


def png_url(data: bytes) -> str:
    """A PNG file as a data URL."""
    return _data_url("png", data)


def jpeg_url(image: Image, quality: int = _JPEG_QUALITY) -> str:
    """Pixels (H, W, 3) RGB as a data URL of a JPEG."""
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, format="JPEG", quality=quality)
    return _data_url("jpeg", file.getvalue())


def columns_of_text(rows: Sequence[Cells]) -> list[bool]:
    """Which columns hold words below the head, which are read from the left, and not numbers."""
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(rows[0])
    return [any(_is_text(cell) for cell in column) for column in columns]


def _is_text(cell: str) -> bool:
    return cell[:1].isalpha() and cell not in ("n/a", "inf", "nan")


def _data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
