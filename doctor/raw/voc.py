"""Pascal VOC's XML, file by file: a broken file is a finding, the others are read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from pocketvision.core.structures import Size
from pocketvision.datasets.readers.folders import list_names
from pocketvision.datasets.readers.voc_layouts import voc_splits
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import images_in
from pocketvision.doctor.raw.stated import RawDetection, RawImage, StatedValues, parse_number
from pocketvision.doctor.threads import map_in_threads

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_raw_voc(root: Path, findings: Findings) -> RawDetection:
    """All annotations of a VOC data set; an image's ``source`` is its XML, ``sources`` are the lists."""
    data = RawDetection(root, "voc", "voc")
    labels: dict[str, int] = {}
    splits = voc_splits(root)
    for folders in dict.fromkeys((split.annotations, split.images) for split in splits.values()):
        data.folders.add(folders[1])
        lists = {
            name: split.listing
            for name, split in splits.items()
            if folders == (split.annotations, split.images)
        }
        _read_folders(*folders, lists, data, labels, findings)
    data.class_names = list(labels)
    return data


def _read_folders(
    annotations: Path,
    folder: Path,
    lists: dict[str, Path | None],
    data: RawDetection,
    labels: dict[str, int],
    findings: Findings,
) -> None:
    """Read a folder of XML files and its lists; a list of None means that the split is all of them."""
    names = sorted(name for name in list_names(annotations) if name.lower().endswith(".xml"))
    files = {name[:-4]: annotations / name for name in names}
    images = by_stem(folder, findings)
    splits, listing_of = _splits(files, lists, annotations)
    data.sources |= {listing: split for split, listing in lists.items() if listing is not None}
    trees = dict(zip(files, map_in_threads(_parse, list(files.values()), "annotations"), strict=True))
    for stem, own_splits in splits.items():
        file, tree = files.get(stem, listing_of.get(stem, annotations)), trees.get(stem)
        path = folder / images.get(stem, f"{stem}.jpg")
        if not own_splits:
            sentence = f"{file} is in no list of splits: add its name to one, or remove it."
            findings.add("image_unused", file, sentence, stem)
        if tree is None:
            sentence = (
                f"{file} names {stem}, but there is no {annotations / stem}.xml: add it, or remove the line."
            )
            findings.add("annotation_missing", file, sentence, stem)
        if isinstance(tree, str):
            sentence = (
                f"{file} is no valid XML ({tree}): it may be half-written; correct it, or export it again."
            )
            findings.add("annotation_broken", file, sentence, tree)
        found = tree if isinstance(tree, ET.Element) else None
        size = None if found is None else _size(found)
        data.images.append(
            RawImage(path.name, path, stem in images, tuple(own_splits), file, size, found, found is not None)
        )
        if found is not None:
            _objects(found, len(data.images) - 1, data, labels, findings)


def _splits(
    stems: Iterable[str], lists: dict[str, Path | None], annotations: Path
) -> tuple[dict[str, list[str]], dict[str, Path]]:
    """Stem -> its splits, and stem -> the file that names it."""
    splits: dict[str, list[str]] = {stem: [] for stem in stems}
    named_by: dict[str, Path] = {}
    for split, listing in lists.items():
        for stem in list(splits) if listing is None else read_list(listing):
            splits.setdefault(stem, []).append(split)
            named_by.setdefault(stem, listing or annotations)
    return splits, named_by


def read_list(file: Path) -> list[str]:
    """The lines of a list of stems, each once."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip() and "\0" not in line))


def by_stem(folder: Path, findings: Findings) -> dict[str, str]:
    """Stem -> image file; where two differ only in their suffix, the first."""
    stems: dict[str, str] = {}
    for name in images_in(folder):
        first = stems.setdefault(Path(name).stem, name)
        if first != name:
            findings.add(
                "same_stem", folder / name, f"{folder} holds {first} and {name}: remove or rename one.", name
            )
    return stems


def _parse(file: Path) -> ET.Element | str:
    """The root, or what is wrong with the file."""
    try:
        return ET.fromstring(file.read_bytes())
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        return str(error)


def _size(tree: ET.Element) -> Size | None:
    height, width = (parse_number(tree.findtext(f"size/{side}")) for side in ("height", "width"))
    if height is None or width is None or not (1 <= height < 1e6 and 1 <= width < 1e6):
        return None
    return int(height), int(width)


def _objects(
    tree: ET.Element, owner: int, data: RawDetection, labels: dict[str, int], findings: Findings
) -> None:
    image = data.images[owner]
    for number, item in enumerate(tree.iter("object"), start=1):
        name = (item.findtext("name") or "").strip()
        where = f"object {number}" + (f" ({name})" if name else "")
        if not name:
            findings.add(
                "annotation_incomplete",
                image.file,
                f"{image.file}, {where} has no name: add its class as <name>.",
                where,
                image.path,
            )
        values = _values(item)
        if values is None:
            texts = ", ".join(f"{side} {item.findtext(f'bndbox/{side}')!r}" for side in _SIDES)
            findings.add(
                "box_not_number",
                image.file,
                f"{image.file}, {where} has {texts} instead of four numbers: correct it.",
                where,
                image.path,
            )
        label = labels.setdefault(name, len(labels)) if name else -1
        data.boxes.add(owner, values, label, image.file, where, item)


def _values(item: ET.Element) -> StatedValues | None:
    xmin, ymin, xmax, ymax = (parse_number(item.findtext(f"bndbox/{side}")) for side in _SIDES)
    if xmin is None or ymin is None or xmax is None or ymax is None:
        return None
    return xmin, ymin, xmax, ymax
