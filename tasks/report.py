"""An evaluation as one HTML page: numbers, curves and pictures, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image as PillowImage

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image
from pocketvision.metrics.bootstrap import LEVEL

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { background: #f3f3f3; }
img { max-width: 100%; height: auto; } p { max-width: 50rem; }
"""
_JPEG_QUALITY = 85

Row = Sequence[str]


class Section(NamedTuple):
    """A part of the page: text, a table whose first row is its head, a drawing (PNG), a photograph (RGB)."""

    title: str
    text: str = ""
    table: Sequence[Row] = ()
    picture: bytes | None = None
    photo: Image | None = None


def write_report(path: Path, title: str, metrics: dict[str, Any], sections: Sequence[Section]) -> None:
    """Write the page: the metrics, ``sections``, and a table of all classes."""
    parts = [_section(section) for section in [_totals(metrics), *sections, *_classes(metrics)]]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page + "\n".join(parts) + "\n</html>\n", encoding="utf-8")


def shown(value: Any) -> str:
    """A value of metrics.json as text."""
    return "n/a" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def table_of(rows: dict[str, dict[str, Any]], head: str) -> list[Row]:
    """Rows of values by name, below a head."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return [(head, *columns), *((name, *(shown(row.get(c)) for c in columns)) for name, row in rows.items())]


def _totals(metrics: dict[str, Any]) -> Section:
    rows: list[Row] = [("metric", "value", f"{LEVEL:.0%} interval")]
    for name, value in metrics.items():
        if not isinstance(value, dict) and not name.endswith(("_ci_low", "_ci_high")):
            low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
            rows.append((name, shown(value), "" if low is None else f"{shown(low)} to {shown(high)}"))
    text = "n/a: there is nothing that it could be measured on; such values are left out of means."
    if "num_resamples" in metrics:
        text += f" Intervals: bootstrap over the images, {metrics['num_resamples']} resamples."
    return Section("Metrics", text, rows)


def _classes(metrics: dict[str, Any]) -> list[Section]:
    sections = [Section("All classes", table=table_of(metrics["per_class"], "class"))]
    if "per_category" in metrics:
        sections.append(Section("Categories", table=table_of(metrics["per_category"], "category")))
    return sections


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.table:
        parts.append(_table(section.table))
    if section.picture is not None:
        parts.append(_image(section.picture, "png", section.title))
    if section.photo is not None:
        file = io.BytesIO()
        PillowImage.fromarray(section.photo).save(file, format="JPEG", quality=_JPEG_QUALITY)
        parts.append(_image(file.getvalue(), "jpeg", section.title))
    return "\n".join(parts)


def _table(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows[1:])
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in body) + "\n</table>"


def _image(data: bytes, kind: str, title: str) -> str:
    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{html.escape(title)}" src="data:image/{kind};base64,{code}">'
