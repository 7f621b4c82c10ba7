"""Folders of images a class."""

from __future__ import annotations

from pathlib import Path

from pocketvision.datasets.readers.folders import images_below, is_image, list_names
from pocketvision.datasets.records.splits import ALL, canonical, split_of
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.raw.layouts import subfolders
from pocketvision.doctor.raw.stated import RawClassification


def read_raw_folder(root: Path, findings: Findings) -> RawClassification:
    """``{split}/{class}`` or ``{class}``; files that are no images by their suffix are unused."""
    names = subfolders(root)
    splits = {canonical(name): root / name for name in names if split_of(name) and subfolders(root / name)}
    data, classes = RawClassification(root), dict[str, None]()
    for split, folder in (splits or {ALL: root}).items():
        for name in subfolders(folder):
            classes[name] = None
            data.folders.append(folder / name)
            data.images += [(path, name, split) for path in images_below(folder / name)]
            others = [
                other
                for other in sorted(list_names(folder / name))
                if other[0] != "." and not is_image(other)
            ]
            for path in (folder / name / other for other in others):
                if not path.is_dir():
                    findings.add(
                        "image_unused", path, f"{path} has no suffix of an image: convert or remove it."
                    )
    data.class_names = sorted(classes)
    return data
