"""What to say where no format is found: what lies there, and which format is nearest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pocketvision.datasets.formats.contract import DataFormat
from pocketvision.datasets.readers.tree import FileTree, is_image

_MAX_LISTED, _MAX_FOLDERS = 12, 200
_HINTS = (
    (
        "pictures alone",
        lambda kinds: set(kinds) <= {"picture"},
        "label them, or put each class into its folder",
    ),
    ("a zip archive", lambda kinds: kinds["archive"], "unpack it"),
    ("TFRecord files", lambda kinds: kinds["tfrecord"], "export the data as COCO JSON"),
    ("Parquet or Arrow files", lambda kinds: kinds["table"], "export images and labels as files"),
    (
        "pictures with a JSON file each",
        lambda kinds: kinds["json"] > 2 and kinds["picture"],
        "export them as COCO JSON",
    ),
    (
        "pictures with text files",
        lambda kinds: kinds["txt"] and kinds["picture"],
        "for YOLO add classes.txt or data.yaml with the names of the classes",
    ),
    (
        "pictures with XML files",
        lambda kinds: kinds["xml"] and kinds["picture"],
        "export them as Pascal VOC",
    ),
    (
        "pictures with a CSV file",
        lambda kinds: kinds["csv"] and kinds["picture"],
        "name its columns image, xmin, ymin, xmax, ymax and label",
    ),
    (
        "annotations without pictures",
        lambda kinds: not kinds["picture"] and kinds,
        "put the pictures beside them",
    ),
)
_KINDS = {
    ".zip": "archive", ".tar": "archive", ".gz": "archive", ".tfrecord": "tfrecord", ".tfrecords": "tfrecord",
    ".record": "tfrecord", ".parquet": "table", ".arrow": "table", ".json": "json", ".txt": "txt",
    ".xml": "xml", ".csv": "csv", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip


def what_it_looks_like(asked: Path, tree: FileTree, formats: Iterable[DataFormat]) -> str:
    """One sentence: what lies in the place that was asked for, what is nearest, and what was looked for."""
    looked_for = "; ".join(f"{form.title} ({form.signs})" for form in formats)
    kinds = _kinds(tree)
    hint = next(
        (f" It looks like {what}: {remedy}." for what, fits, remedy in _HINTS if kinds and fits(kinds)), ""
    )
    return f"{asked} holds no data set of a known format, but {_there(tree)}; looked for {looked_for}.{hint}"


def _there(tree: FileTree) -> str:
    if tree.given is not None:
        return tree.given.name
    listing = tree.listing(tree.root)
    names = sorted((*listing.files, *listing.folders))
    shown = ", ".join(names[:_MAX_LISTED]) or "nothing"
    return f"{shown} ... ({len(names)} in all)" if len(names) > _MAX_LISTED else shown


def _kinds(tree: FileTree) -> Counter[str]:
    """How many files of each kind there are."""
    kinds: Counter[str] = Counter()
    for count, (_, listing) in enumerate(tree.walk()):
        if count >= _MAX_FOLDERS:
            break
        for name in listing.files:
            suffix = Path(name).suffix.lower()
            kind = "picture" if is_image(name) else _KINDS.get(suffix)
            if kind is not None:
                kinds[kind] += 1
    return kinds
