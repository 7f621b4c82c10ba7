"""Which format a data set has, by the names of its files where their content is broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.layouts import coco_splits
from pocketvision.datasets.readers.detect_format import detect_format
from pocketvision.datasets.readers.folders import is_image, list_names
from pocketvision.datasets.readers.voc_layouts import voc_splits
from pocketvision.datasets.records.splits import canonical, split_of

TASK_OF = {
    "coco": "detection",
    "voc": "detection",
    "yolo": "detection",
    "csv": "detection",
    "cityscapes": "segmentation",
    "voc_masks": "segmentation",
    "mask_folder": "segmentation",
    "image_folder": "classification",
}
"""Format -> task, in the order in which formats are tried."""

_HEAD = 1 << 16
_OTHER_JSON = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")
_NOT_BOXES = ("classes.csv", "class_dict.csv")


@dataclass(frozen=True)
class Layout:
    """A format and where it was found."""

    format: str
    root: Path

    @property
    def task(self) -> str:
        """detection, segmentation or classification."""
        return TASK_OF[self.format]


def find_layout(place: Path, task: str | None = None) -> Layout:
    """The format of a data set, of a task if one is named.

    It is the one that training would find; where that finds none, or several, or only a broken file, the
    first one that the names of the files speak of.

    Raises:
        InputError: there is no such place, or nothing in it looks like a data set.
    """
    try:
        found = detect_format(place, task)
    except InputError as error:
        root = place if place.is_dir() else place.parent
        for name, is_there in _TESTS.items():
            if task in (None, TASK_OF[name]) and root.is_dir() and is_there(root):
                return Layout(name, root)
        raise error
    root = found.root if found.root.is_dir() else found.root.parent
    return Layout("coco" if found.format == "coco_masks" else found.format, root)


def coco_files(root: Path) -> dict[str, Path]:
    """Split -> COCO JSON of boxes."""
    candidates = [
        *root.glob("*.json"),
        *root.glob("annotations/*.json"),
        *root.glob("*/_annotations.coco.json"),
    ]
    files: dict[str, Path] = {}
    for file in sorted(candidates):
        if file.is_file() and not file.name.startswith(_OTHER_JSON) and _is_coco(file):
            files.setdefault(_split_of(file), file)
    others = {split: file for split, file in coco_splits(root).items() if file not in files.values()}
    return {**files, **others}


def _is_coco(file: Path) -> bool:
    if file.name.startswith("instances_") or "annotations" in (file.stem, file.parent.name):
        return True
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    return any(key in head for key in (b'"images"', b'"annotations"', b'"categories"'))


def _split_of(file: Path) -> str:
    if file.name == "_annotations.coco.json":
        return canonical(file.parent.name)
    match = re.fullmatch(r"instances_(.+?)(2017|2014)?", file.stem)
    if match:
        return match[1]
    return split_of(file.stem) or file.stem


def images_in(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted."""
    return sorted(name for name in list_names(folder) if is_image(name))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    return sorted(name for name in list_names(folder) if name[0] != "." and (folder / name).is_dir())


def yolo_files(root: Path) -> list[Path]:
    """YAML files that may describe a YOLO data set, data.yaml first."""
    files = [file for pattern in ("*.yaml", "*.yml") for file in root.glob(pattern)]
    return sorted(files, key=lambda file: (file.stem != "data", file.name))


def csv_files(root: Path) -> list[Path]:
    """CSV files that may hold boxes: in ``root``, its ``annotations`` and its folders of splits."""
    folders = [root, root / "annotations", *(root / name for name in subfolders(root) if split_of(name))]
    files = [file for folder in folders for file in sorted(folder.glob("*.csv"))]
    return [file for file in files if file.name.lower() not in _NOT_BOXES]


def _is_yolo(root: Path) -> bool:
    if not any(path.is_dir() for path in (*root.glob("labels"), *root.glob("*/labels"))):
        return bool(yolo_files(root))
    return True


def _is_image_folder(root: Path) -> bool:
    names = subfolders(root)
    return any(
        images_in(root / name) or any(images_in(root / name / inner) for inner in subfolders(root / name))
        for name in names
    )


_TESTS: dict[str, Callable[[Path], bool]] = {
    "coco": lambda root: bool(coco_files(root)),
    "voc": lambda root: bool(voc_splits(root)) or (root / "Annotations").is_dir(),
    "yolo": _is_yolo,
    "csv": lambda root: bool(csv_files(root)),
    "cityscapes": lambda root: (root / "leftImg8bit").is_dir(),
    "voc_masks": lambda root: (root / "SegmentationClass").is_dir(),
    "mask_folder": lambda root: (root / "masks").is_dir() or any(root.glob("*/masks")),
    "image_folder": _is_image_folder,
}
