"""YOLO's text files, line by line: class, center and size as shares of the image."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.folders import images_below, is_file, is_image
from pocketvision.datasets.readers.yolo_labels import label_files
from pocketvision.datasets.readers.yolo_layouts import find_yolo
from pocketvision.datasets.records.splits import ALL, canonical
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import subfolders, yolo_files
from pocketvision.doctor.raw.stated import RawDetection, RawImage, StatedValues, parse_number
from pocketvision.doctor.threads import map_in_threads


def read_raw_yolo(root: Path, findings: Findings) -> RawDetection:
    """All splits of a YOLO data set; a box's ``source`` is the fields of its line."""
    data = RawDetection(root, "yolo", "yolo")
    sources, names = _layout(root, findings)
    known: dict[Path, RawImage] = {}
    for split, places in sources.items():
        for path in (path for place in places for path in _images(place, root)):
            image = known.setdefault(path, RawImage(path.name, path, is_file(path), (), path))
            image.splits = tuple(dict.fromkeys((*image.splits, split)))
    data.images = list(known.values())
    data.folders = {image.path.parent for image in data.images if image.exists}
    files = label_files([image.path for image in data.images], root)
    for owner, lines in enumerate(map_in_threads(_lines, files, "annotations")):
        data.images[owner].source = data.images[owner].file = files[owner]
        for number, line in enumerate(lines, start=1):
            if line.strip():
                _box(line.split(), owner, number, names, data, findings)
    highest = max(data.boxes.labels, default=-1)
    data.class_names = names if names is not None else [f"class {i}" for i in range(highest + 1)]
    return data


def _layout(root: Path, findings: Findings) -> tuple[dict[str, tuple[Path, ...]], list[str] | None]:
    """Split -> folders and lists of images, and the class names; what is broken becomes a finding."""
    try:
        layout = find_yolo(root)
    except InputError as error:
        files = yolo_files(root)
        findings.add(
            "annotation_broken" if files else "class_names_missing", (files or [root])[0], str(error)
        )
        return _folders(root), None
    if layout is None:
        return _folders(root), None
    return layout.sources, [name or f"class {i}" for i, name in enumerate(layout.class_names)]


def _folders(root: Path) -> dict[str, tuple[Path, ...]]:
    """``images/{split}``, ``{split}/images``, or ``images`` without splits."""
    found = {name: root / name / "images" for name in subfolders(root) if (root / name / "images").is_dir()}
    found |= {name: root / "images" / name for name in subfolders(root / "images")}
    only = root / "images" if (root / "images").is_dir() else root
    return {canonical(name): (folder,) for name, folder in (found or {ALL: only}).items()}


def _images(place: Path, root: Path) -> list[Path]:
    """Images of a folder, or those that a list names, whether or not they are there."""
    if place.is_dir():
        return images_below(place)
    if is_image(place.name):
        return [place]
    lines = [line.strip().replace("\\", "/") for line in _lines(place)]
    choices = [(place.parent / line, root / line) for line in lines if line and "\0" not in line]
    return [beside if is_file(beside) or not is_file(other) else other for beside, other in choices]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except (OSError, ValueError):
        return []  # an image without a file is background


def _box(
    fields: list[str],
    owner: int,
    number: int,
    names: list[str] | None,
    data: RawDetection,
    findings: Findings,
) -> None:
    image = data.images[owner]
    where = f"line {number}"
    label = int(fields[0]) if fields[0].isdecimal() and len(fields[0]) < 6 else -1
    if label < 0 or (names is not None and label >= len(names)):
        what = f"{len(names)} names" if names is not None else "a number"
        findings.add(
            "class_unknown",
            image.file,
            f"{image.file}, {where}: its class is {fields[0][:40]!r}, but the classes have {what}: "
            "correct it, or add the name.",
            where,
            image.path,
        )
        label = -1
    values = _values(fields[1:])
    if values is None:
        findings.add(
            "box_not_number",
            image.file,
            f"{image.file}, {where}: {' '.join(fields)[:80]!r} is no class with four numbers: correct it.",
            where,
            image.path,
        )
    data.boxes.add(owner, values, label, image.file, where, fields)


def _values(fields: list[str]) -> StatedValues | None:
    """Center and size; of a polygon, those of the box around it."""
    numbers = [number for number in map(parse_number, fields) if number is not None]
    if len(numbers) < len(fields) or not (len(fields) == 4 or (len(fields) >= 6 and len(fields) % 2 == 0)):
        return None
    if len(numbers) == 4:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    x, y = numbers[::2], numbers[1::2]
    left, right, top, bottom = min(x), max(x), min(y), max(y)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
