"""A COCO JSON as Python objects, fast and without what nobody needs."""

from __future__ import annotations

import codecs
import gc
import json
import re
from pathlib import Path
from typing import Any

import orjson

from pocketvision.core.errors import InputError

CocoJson = dict[str, Any]

# The value holds no quote or brace, so the match ends with it; inside a text the quotes would be escaped.
_POLYGONS = re.compile(rb'"segmentation"\s*:\s*\[[\[\]\d\s,.eE+-]*\]')


def load_coco(file: Path, *, polygons: bool = True) -> CocoJson:
    """The content of ``file``, which has lists of objects 'images', 'annotations' and 'categories'.

    Without ``polygons`` a list under 'segmentation' is 0: in large files they are most of the numbers.

    Raises:
        InputError: it is no JSON, or one of the lists is missing.
    """
    content = _parse(file, polygons)
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{file} has no list of objects '{key}': export it again as COCO instances.")
    return content  # type: ignore[no-any-return]


def _parse(file: Path, polygons: bool) -> Any:
    collects = gc.isenabled()
    gc.disable()  # it would look through the growing millions of objects again and again
    try:
        return orjson.loads(_read(file) if polygons else _POLYGONS.sub(b'"segmentation":0', _read(file)))
    except orjson.JSONDecodeError:
        return _parse_slowly(file, _read(file))  # read again: large files must not be in memory twice
    finally:
        if collects:
            gc.enable()


def decoded(text: bytes) -> str:
    """JSON text as tools write it: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        UnicodeDecodeError: it is none of these.
    """
    is_utf16 = text[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return text.decode("utf-16" if is_utf16 else "utf-8-sig")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the file.") from None


def _parse_slowly(file: Path, text: bytes) -> Any:
    """Python's parser takes NaN, which gets a better sentence later, and names the line of an error."""
    try:
        return json.loads(decoded(text))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{file} is no valid JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            "it may be incomplete; copy or export it again."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no valid JSON (not UTF-8 text): copy or export it again.") from None
    except RecursionError:
        raise InputError(f"{file} is no valid JSON (nested too deeply): export it again.") from None
