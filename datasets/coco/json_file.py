"""A COCO JSON as Python objects, fast and without what nobody needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.collection import collection_paused
from pocketvision.datasets.readers.text import decode, read_bytes

CocoJson = dict[str, Any]

# The value holds no quote or brace, so the match ends with it; inside a text the quotes would be escaped.
_POLYGONS = re.compile(rb'"segmentation"\s*:\s*\[[\[\]\d\s,.eE+-]*\]')


def load_coco(file: Path, *, polygons: bool = True) -> CocoJson:
    """The content of ``file``, which has the lists 'images', 'annotations' and 'categories'.

    Without ``polygons`` a list under 'segmentation' is 0: in large files they are most of the numbers.

    Raises:
        InputError: it is no JSON, or one of the lists is missing.
    """
    content = _parse(file, polygons)
    for key in ("images", "annotations", "categories"):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise InputError(f"{file} has no list of objects '{key}': export it again as COCO instances.")
    return content  # type: ignore[no-any-return]


def load_json(file: Path) -> Any:
    """The content of a JSON file, in UTF-8 or UTF-16, with or without byte order mark.

    Raises:
        InputError: it can't be read or is no JSON; the sentence names the line.
    """
    return _parse(file, polygons=True)


def _parse(file: Path, polygons: bool) -> Any:
    with collection_paused():
        try:
            return orjson.loads(_text(file, polygons))
        except orjson.JSONDecodeError:
            return _parse_slowly(file)  # read again: large files must not be in memory twice


def _text(file: Path, polygons: bool) -> bytes:
    """What is to be parsed; of a file with hundreds of megabytes of polygons nothing else is kept."""
    return read_bytes(file) if polygons else _POLYGONS.sub(b'"segmentation":0', read_bytes(file))


def _parse_slowly(file: Path) -> Any:
    """Python's parser takes NaN, which gets a better sentence later, and names the line of an error."""
    data = read_bytes(file)
    if not data.strip():
        raise InputError(f"{file} is empty: it may be half-written; copy or export it again.")
    text = decode(data)
    if text is None:
        raise InputError(f"{file} is no valid JSON (not UTF-8 text): copy or export it again.")
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{file} is no valid JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            "it may be half-written; copy or export it again."
        ) from None
    except RecursionError:
        raise InputError(f"{file} is no valid JSON (nested too deeply): export it again.") from None
    except ValueError as error:  # a number of thousands of digits
        problem = str(error).partition(";")[0]
        raise InputError(f"{file} is no valid JSON ({problem}): correct it, or export it again.") from None
