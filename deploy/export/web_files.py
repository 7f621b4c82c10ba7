"""The static files of a web page, the module of several parts, and what is kept for use without a network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

MODULE = "pocketvision.js"
"""The page's own code for a model, and what other pages import."""
_PARTS = (
    "orientation.js", "pictures.js", "taps.js", "resize.js", "labels.js", "results.js", "tiles.js",
    "model.js",
)  # fmt: skip
"""It is these, one after the other: what they import from each other lies above."""
_SERVICE_WORKER = "service_worker.js"
_IMPORT = re.compile(r'import \{[^}]*\} from "\./\w+\.js";\n')
_EMPTY = 'const PAGE = { version: "", files: [], later: [] };'

_REPORT = [".sensitivity", ".json"]
"""What int8 does to each block: for the user, not for the page."""


def write_static_files(folder: Path) -> None:
    """Write the page's files, but for the model and its runtime, to ``folder``."""
    for file in (files("pocketvision.deploy") / "web").iterdir():
        if file.name not in _PARTS:
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / MODULE).write_text(module_text(), encoding="utf-8")


def module_text() -> str:
    """The parts of the module as one file, without their imports."""
    sources = [(files("pocketvision.deploy") / "web" / name).read_text(encoding="utf-8") for name in _PARTS]
    return "\n".join(_IMPORT.sub("", source) for source in sources)


def fill_service_worker(folder: Path, later: Sequence[str]) -> None:
    """Tell the page's service worker in ``folder`` which files it is to keep, and which of these ``later``.

    Every change of a file changes the service worker's, by which browsers know that the page is a newer one.
    """
    paths = sorted(path for path in folder.iterdir() if path.name != _SERVICE_WORKER)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    kept = [path.name for path in paths if path.name not in later and path.suffixes[-2:] != _REPORT]
    page = {"version": digest.hexdigest()[:16], "files": ["./", *kept], "later": list(later)}
    script = folder / _SERVICE_WORKER
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace(_EMPTY, f"const PAGE = {json.dumps(page)};"), encoding="utf-8")
