"""Pascal VOC: ``Annotations/*.xml``, ``JPEGImages/`` and ``ImageSets/Main/{split}.txt``.

Coordinates in the XML are pixels counted from 1, both ends included (VOC devkit, sec. 4.2): a box
from pixel ``xmin`` to pixel ``xmax`` covers ``xmin - 1 .. xmax`` in our coordinates, and likewise in y.
Objects marked ``difficult`` are trained on, but evaluation ignores them, as the devkit does.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.assemble import FoundBoxes, assemble
from pocketvision.datasets.folders import by_stem, empty_split, existing_root, missing_split
from pocketvision.datasets.images import read_size
from pocketvision.datasets.records import DetectionRecords

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(root: str | Path, split: str) -> DetectionRecords:
    """Read a VOC detection split.

    Class names (sorted) and image ids (rank of the annotation, from 1) are taken from all of
    ``Annotations``, so that every split agrees. An image belongs to the annotation with its stem,
    whatever file name the XML states.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    folder = existing_root(root)
    stems = _stems(folder, split)
    annotations = folder / "Annotations"
    files = {stem: annotations / name for stem, name in by_stem(annotations, (".xml",)).items()}
    images = by_stem(folder / "JPEGImages", _IMAGE_SUFFIXES)
    _check_pairs(stems, files, images, folder, split)
    trees = {stem: _parse(file) for stem, file in files.items()}
    names = tuple(sorted({_name(o, files[stem]) for stem in files for o in trees[stem].iter("object")}))
    rank = {stem: i for i, stem in enumerate(files, start=1)}
    paths = [str(folder / "JPEGImages" / images[stem]) for stem in stems]
    found, where = FoundBoxes(), []
    for owner, stem in enumerate(stems):
        for number, item in enumerate(trees[stem].iter("object"), start=1):
            _add(found, item, owner, names, files[stem])
            where.append(f"{files[stem]}, object {number}")
    return assemble(
        found,
        where.__getitem__,
        root=folder,
        image_paths=paths,
        image_ids=[rank[stem] for stem in stems],
        sizes=[_size(trees[stem], path) for stem, path in zip(stems, paths, strict=True)],
        class_names=names,
        category_ids=tuple(range(1, len(names) + 1)),
    )


def _stems(root: Path, split: str) -> list[str]:
    folder = root / "ImageSets" / "Main"
    file = folder / f"{split}.txt"
    if not file.is_file():
        raise missing_split(folder, split, by_stem(folder, (".txt",)))
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    stems = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not stems:
        raise empty_split(file, split)
    return stems


def _check_pairs(
    stems: list[str], files: dict[str, Path], images: dict[str, str], root: Path, split: str
) -> None:
    listing = root / "ImageSets" / "Main" / f"{split}.txt"
    for stem in stems:
        if stem not in files:
            missing = f"annotation {root / 'Annotations' / stem}.xml"
        elif stem not in images:
            missing = f"image {root / 'JPEGImages' / stem}.jpg (or .jpeg, .png)"
        else:
            continue
        raise InputError(f"There is no {missing}: add it, or remove the line '{stem}' from {listing}.")


def _parse(file: Path) -> ET.Element:
    try:
        return ET.parse(file).getroot()
    except ET.ParseError as error:
        raise InputError(f"{file} is no valid XML ({error}): correct it, or export it again.") from None


def _name(item: ET.Element, file: Path) -> str:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{file} has an object without a name: add its class as <name>.")
    return name


def _size(tree: ET.Element, image_path: str) -> tuple[int, int]:
    try:
        height, width = (int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        height, width = 0, 0
    return (height, width) if height > 0 and width > 0 else read_size(image_path)


def _add(found: FoundBoxes, item: ET.Element, owner: int, names: tuple[str, ...], file: Path) -> None:
    xmin, ymin, xmax, ymax = (_number(item, side, file) for side in _SIDES)
    found.owners.append(owner)
    found.boxes.append((xmin - 1, ymin - 1, xmax, ymax))
    found.labels.append(names.index(_name(item, file)))
    found.crowd.append(False)
    found.difficult.append((item.findtext("difficult") or "0").strip() == "1")
    found.areas.append(None)


def _number(item: ET.Element, side: str, file: Path) -> float:
    text = item.findtext(f"bndbox/{side}")
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{file} has an object '{_name(item, file)}' whose {side} is {text!r} instead of a number: "
            "correct it."
        )
    return value
