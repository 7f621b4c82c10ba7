"""Pascal VOC: ``Annotations/*.xml``, ``JPEGImages/`` and ``ImageSets/Main/{split}.txt``.

Coordinates in the XML are pixels counted from 1, both ends included (VOC devkit, sec. 4.2): a box
from pixel ``xmin`` to pixel ``xmax`` covers ``xmin - 1 .. xmax`` in our coordinates, and likewise in y.
Objects marked ``difficult`` are trained on, but evaluation ignores them, as the devkit does.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pocketvision.datasets.images.read import read_size
from pocketvision.datasets.readers.assemble import FoundBoxes, assemble
from pocketvision.datasets.readers.class_list import ordered_names
from pocketvision.datasets.readers.counted import Counted
from pocketvision.datasets.readers.folders import existing_root, missing_split
from pocketvision.datasets.readers.voc_layouts import files_by_stem, voc_splits
from pocketvision.datasets.readers.voc_xml import object_box, object_name, parse_xml
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import find_split

_MAX_SIZE = 1 << 20
"""A stated width or height beyond this is a mistake, and the image is asked instead."""


def read_voc(root: str | Path, split: str) -> DetectionRecords:
    """Read a VOC detection split.

    Without ``ImageSets`` the only split is ``all``; XML files beside their images are read too, with or
    without a folder a split. Class names (in the order of ``classes.txt`` if there is one, else sorted)
    and image ids (rank of the annotation, from 1) are taken from all annotations, so that every split
    agrees. An image belongs to the annotation with its stem, whatever file name the XML states.

    Raises:
        InputError: a file is missing or an entry is wrong; the sentence names it.
    """
    folder = existing_root(root)
    splits = voc_splits(folder)
    name = find_split(splits, split)
    if name is None:
        lists = folder / "ImageSets" / "Main"
        raise missing_split(lists if lists.is_dir() else folder, split, splits)
    here = splits[name]
    stems = here.stems(split)
    folders = sorted({other.annotations for other in splits.values()})
    all_files = [file for path in folders for file in files_by_stem(path, (".xml",)).values()]
    files = files_by_stem(here.annotations, (".xml",))
    images = here.find_images(stems, files)
    trees = {file: parse_xml(file) for file in all_files}
    labels = (object_name(o, file) for file in all_files for o in trees[file].iter("object"))
    names = ordered_names(folder, labels)
    rank = {file: i for i, file in enumerate(all_files, start=1)}
    paths = [str(images[stem]) for stem in stems]
    done = Counted()
    found, where = _boxes([(files[stem], trees[files[stem]]) for stem in stems], names, done)
    records = assemble(
        found,
        where.__getitem__,
        root=folder,
        image_paths=paths,
        image_ids=[rank[files[stem]] for stem in stems],
        sizes=[_size(trees[files[stem]], path) for stem, path in zip(stems, paths, strict=True)],
        class_names=names,
        category_ids=tuple(range(1, len(names) + 1)),
    )
    return replace(records, notes=(*done.lines(), *records.notes))


def _boxes(
    parsed: Sequence[tuple[Path, ET.Element]], names: tuple[str, ...], done: Counted
) -> tuple[FoundBoxes, list[str]]:
    """The objects of all images, and where each of them is written."""
    found, where = FoundBoxes(), []
    for owner, (file, tree) in enumerate(parsed):
        for number, item in enumerate(tree.iter("object"), start=1):
            found.owners.append(owner)
            found.boxes.append(object_box(item, file, done))
            found.labels.append(names.index(object_name(item, file)))
            found.crowd.append(False)
            found.difficult.append((item.findtext("difficult") or "0").strip() == "1")
            found.areas.append(None)
            where.append(f"{file}, object {number}")
    return found, where


def _size(tree: ET.Element, image_path: str) -> tuple[int, int]:
    try:
        height, width = (int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        height, width = 0, 0
    return (height, width) if 0 < height < _MAX_SIZE and 0 < width < _MAX_SIZE else read_size(image_path)
