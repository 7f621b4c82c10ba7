"""Metadata in a ZIP archive behind a graph that its own runtime reads from the beginning of the file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from pocketvision.core.files import replacing
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.protocol import broken

METADATA, LABELS, CHECKSUM = "pocketvision.json", "labels.txt", "pocketvision.sha256.json"
_MAX_BYTES = 1 << 28
_PLACE = slice(4, 8)
"""Where a FlatBuffer says what it is."""
_DAMAGE = (
    OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, RecursionError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What reading a damaged archive or JSON raises."""


def append_metadata(content: bytes, artifact: Artifact, path: Path) -> None:
    """Write a graph and its metadata to ``path``, with the names of the classes as LiteRT's own tools put
    them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(METADATA, artifact.to_json())
            archive.writestr(LABELS, "\n".join(name or "???" for name in artifact.class_names))
            checksum = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            archive.writestr(CHECKSUM, json.dumps(checksum))


def read_appended(path: Path, magic: bytes, kind: str) -> tuple[Artifact, bytes]:
    """The metadata of a file of ours, and its graph as it was written.

    Runtimes trust what they read: a graph whose bytes changed would end the process.

    Args:
        magic: four bytes that every file of its kind has.
        kind: what such a file is called.

    Raises:
        InputError: the file is not ours or has changed since it was written.
    """
    try:
        whole = path.read_bytes()
        text, checksum = _metadata(whole, magic, kind)
        content = whole[: int(checksum["bytes"])]
        if text and hashlib.sha256(content).hexdigest() != checksum["sha256"]:
            raise ValueError("its bytes have changed since it was exported")
    except _DAMAGE as error:
        raise broken(path, error) from error
    return Artifact.from_json(text, str(path)), content


def _metadata(whole: bytes, magic: bytes, kind: str) -> tuple[str | None, dict[str, Any]]:
    """The text of the metadata, None in a file of somebody else, and length and checksum of the graph."""
    nothing = None, {"bytes": 0}
    if not zipfile.is_zipfile(io.BytesIO(whole)):
        if whole[_PLACE] != magic:
            raise ValueError(f"it is no {kind} file")
        return nothing
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if METADATA not in sizes:
            return nothing
        if max(sizes[METADATA], sizes[CHECKSUM]) > _MAX_BYTES:
            raise ValueError("its metadata are too large")
        return archive.read(METADATA).decode(), json.loads(archive.read(CHECKSUM))
