"""Where data sets of images and masks keep both: folders of many names, with and without splits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.splits import ALL, canonical, one_of_each, split_of

IMAGE_FOLDERS = ("images", "imgs", "image", "img", "img_dir", "JPEGImages", "photos", "pictures", "rgb",
                 "data", "original_images", "input", "inputs", "frames")  # fmt: skip
MASK_FOLDERS = ("masks", "mask", "ann_dir", "labels", "label", "annotations", "annots", "annot", "gt",
                "ground_truth", "groundtruth", "segmentation", "segmentations", "seg", "targets", "target",
                "label_images", "mask_images", "masks_png", "labels_png", "output",
                "semantic")  # fmt: skip
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg", ".webp")
_BESIDE = re.compile(r"(?i)[\W_](?:mask|masks|label|labels|seg|segmentation|gt|annotation)s?$")
_OF_SPLIT = (
    "annot",
    "_labels",
    "_label",
    "_masks",
    "_mask",
    "labels",
    "masks",
    "_annotations",
    "-labels",
    "-masks",
)


@dataclass(frozen=True)
class MaskSplit:
    """Folders of one split, and the list of its images where the folders hold other splits too."""

    images: Path
    masks: Path
    listing: Path | None = None

    @property
    def is_mixed(self) -> bool:
        """Whether images and masks lie in one folder."""
        return self.images == self.masks


def mask_splits(tree: FileTree) -> dict[str, MaskSplit]:
    """The splits that folders and lists make; empty if there are no folders of images and masks."""
    root = tree.root
    own = [folder for folder in tree.folders(root) if split_of(folder.name)]
    splits = {folder.name: split for folder in own if (split := _in_folder(tree, folder))}
    splits = splits or _with_inner_splits(tree) or _beside_splits(tree)
    if splits:
        return one_of_each(splits, root)
    whole = _in_folder(tree, root)
    if whole is None:
        return {}
    lists = [file for file in tree.files(root, (".txt",)) if split_of(file.stem)]
    listed = {file.stem: MaskSplit(whole.images, whole.masks, file) for file in lists}
    return one_of_each(listed, root, canonical) or {ALL: whole}


def picture_stems(tree: FileTree, folder: Path) -> dict[str, Path]:
    """Stem -> picture; of one stem a PNG counts before others."""
    files = tree.files(folder, MASK_SUFFIXES)
    ordered = sorted(files, key=lambda file: (file.suffix.lower() == ".png", file.name))
    return dict(sorted((file.stem, file) for file in ordered))


def masks_beside(tree: FileTree, folder: Path) -> list[Path]:
    """Pictures of a folder whose names say that they are masks of others there."""
    stems = {file.stem for file in tree.images(folder)}
    return [
        file
        for file in tree.images(folder)
        if _BESIDE.search(file.stem) and _BESIDE.sub("", file.stem) in stems
    ]


def _in_folder(tree: FileTree, folder: Path) -> MaskSplit | None:
    """``images`` and ``masks`` by any of their names, or both kinds of files in the folder itself."""
    images = next(
        (f for name in IMAGE_FOLDERS if (f := tree.child(folder, name)) and _has_pictures(tree, f)), None
    )
    if images is not None:
        found = [f for name in MASK_FOLDERS if (f := tree.child(folder, name)) and f != images]
        with_pictures = [f for f in found if _has_pictures(tree, f)]
        expected = [f for f in found if f.name.lower() in ("masks", "mask")]
        masks = next(iter([*with_pictures, *expected]), None)
        return None if masks is None else MaskSplit(images, masks)
    return MaskSplit(folder, folder) if masks_beside(tree, folder) else None


def _with_inner_splits(tree: FileTree) -> dict[str, MaskSplit]:
    """``images/{split}`` and ``masks/{split}``; by the names of the folders."""
    for name in IMAGE_FOLDERS:
        images = tree.child(tree.root, name)
        inner = tree.folders(images) if images is not None else []
        inner = [folder for folder in inner if _has_pictures(tree, folder)]
        for mask_name in MASK_FOLDERS if inner else ():
            masks = tree.child(tree.root, mask_name)
            if masks is None or masks == images:
                continue
            pairs = {folder: tree.child(masks, folder.name) for folder in inner}
            if any(mask is not None and _has_pictures(tree, mask) for mask in pairs.values()):
                return {
                    folder.name: MaskSplit(folder, mask or masks / folder.name)
                    for folder, mask in pairs.items()
                }
    return {}


def _beside_splits(tree: FileTree) -> dict[str, MaskSplit]:
    """CamVid's ``train`` and ``trainannot`` or ``train_labels``; by the names of the folders."""
    splits = {}
    for folder in tree.folders(tree.root):
        masks = tree.child(tree.root, *(f"{folder.name}{end}" for end in _OF_SPLIT))
        if split_of(folder.name) is None or masks is None:
            continue
        if _has_pictures(tree, folder) and _has_pictures(tree, masks):
            splits[folder.name] = MaskSplit(folder, masks)
    return splits


def _has_pictures(tree: FileTree, folder: Path) -> bool:
    return any(name.lower().endswith(MASK_SUFFIXES) for name in tree.listing(folder).files)
