"""XML files as tools write them: any encoding, with or without namespaces."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.text import guess_text, read_bytes
from pocketvision.datasets.records.kinds import TEXT_ENCODING
from pocketvision.datasets.records.notes import Notes

_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}


def parse_xml(file: Path, notes: Notes) -> ET.Element:
    """The root of an XML file, its tags without namespaces.

    Raises:
        InputError: it is no XML.
    """
    data = read_bytes(file)
    try:
        root = ET.fromstring(data)
    except (
        ET.ParseError,
        ValueError,
        LookupError,
        RecursionError,
    ) as error:  # the last two: an unknown encoding
        decoded = _parse_decoded(data, file, notes)
        if decoded is None:
            problem = " ".join(str(error).split())
            raise InputError(
                f"{file} is no valid XML ({problem}): correct it, or export it again; it may be half-written."
            ) from None
        root = decoded
    if root.tag.startswith("{") or any(child.tag.startswith("{") for child in root):
        for element in root.iter():
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2]
    return root


def _parse_decoded(data: bytes, file: Path, notes: Notes) -> ET.Element | None:
    """Parsed after decoding it here: the parser knows few encodings, and trusts what a file declares."""
    match = _DECLARED.match(data)
    declared = match[1].decode("ascii").lower() if match else ""
    encodings = [_WIDER.get(declared, declared)] if declared else []
    for encoding, text in guess_text(data, encodings):
        try:
            root = ET.fromstring(_DECLARATION.sub("", text))
        except (ET.ParseError, ValueError):
            continue
        if encoding not in ("utf-8", "utf-8-sig", "utf-16") and encoding not in encodings:
            sentence = f"{file} is no UTF-8, and was read as {encoding}: save it as UTF-8."
            notes.add(TEXT_ENCODING, file, sentence)
        return root
    return None
