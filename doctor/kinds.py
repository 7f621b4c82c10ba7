"""Every kind of finding: what a reader tells, and what only a doctor looks for, in the order of a report."""

from __future__ import annotations

from pocketvision.datasets.records.kinds import (
    CLASS_NAMES_MISSING,
    IMAGE_UNREADABLE,
    MASK_UNEXPECTED,
    MASK_UNREADABLE,
    READER_KINDS,
)
from pocketvision.datasets.records.notes import Kind, Severity

__all__ = [
    "CLASS_NAMES_MISSING",
    "IMAGE_UNREADABLE",
    "KINDS",
    "MASK_UNEXPECTED",
    "MASK_UNREADABLE",
    "Kind",
    "Severity",
]

_DROPPED = "dropped with its annotations"

NOT_READ = Kind("not_read", "error", "Training can't read the data")
NO_BOX = Kind("no_box", "error", "There is no box to learn from")
SPLIT_MISSING = Kind("split_missing", "warning", "A stated split can't be found", fix="left out")

IMAGE_EMPTY = Kind("image_empty", "error", "Image file has zero bytes", fix=_DROPPED)
IMAGE_TRUNCATED = Kind("image_truncated", "error", "Image is truncated", fix=_DROPPED)
IMAGE_ROTATED = Kind(
    "image_rotated", "warning", "EXIF turns the image", fix="rewritten upright, without the EXIF entry"
)
IMAGE_CMYK = Kind("image_cmyk", "warning", "Image is CMYK", fix="rewritten as 8-bit RGB")
IMAGE_16BIT = Kind("image_16bit", "warning", "Image has 16 bits a channel", fix="rewritten with 8 bits")
IMAGE_CHANNELS = Kind("image_channels", "error", "Image has another number of channels", fix=_DROPPED)
IMAGE_GRAY = Kind("image_grey", "info", "Image is gray")
IMAGE_FORMAT = Kind(
    "image_format", "warning", "Another format than the suffix says", fix="given the suffix of its format"
)
SIZE_DIFFERS = Kind(
    "size_differs",
    "error",
    "Annotations state another image size",
    fix="the file's size is stated, boxes are scaled to it",
)
SAME_NAME = Kind("same_name", "info", "File name is in two folders")
PATH_CHARACTERS = Kind("path_characters", "info", "Spaces or unicode in the path")
COPY_ACROSS_SPLITS = Kind("copy_across_splits", "warning", "The same image in training and validation")
NEAR_COPY_ACROSS_SPLITS = Kind(
    "near_copy_across_splits", "warning", "Nearly the same image in training and validation"
)
NEAR_COPY_IN_SPLIT = Kind(
    "near_copy_in_split", "info", "Nearly the same image in a split that training divides",
    fix="kept, as training keeps them on one side",
)  # fmt: skip

CLIP = Kind("clip", "info", "Nearly identical frames of one clip")
CLIP_ACROSS_SPLITS = Kind("clip_across_splits", "warning", "A clip has frames in training and validation")

CLASS_VARIANTS = Kind(
    "class_variants", "error", "Class names differ by case or space", fix="merged to the most frequent"
)
CLASS_ZERO = Kind("class_zero", "warning", "Category id 0", fix="ids begin at 1")
CLASS_UNUSED = Kind("class_unused", "info", "Class has no example")
CLASS_NOT_TRAINED = Kind("class_not_trained", "warning", "Class has no example to train on")
CLASS_NOT_NAMED = Kind("class_not_named", "error", "Class is not named by the config")
CLASS_IMBALANCE = Kind("class_imbalance", "warning", "Classes are extremely imbalanced")

MASK_JPEG = Kind(
    "mask_jpeg", "error", "Mask is a JPEG, whose values are smeared", fix="left out with its image"
)
MASK_LABEL_IDS = Kind("mask_label_ids", "error", "Mask has Cityscapes' label ids", fix="mapped to train ids")
MASK_TRAIN_IDS = Kind(
    "mask_train_ids", "error", "Mask has train ids where label ids are read", fix="read as the train ids"
)
MASK_SHIFTED = Kind("mask_shifted", "error", "Mask ids begin at 1", fix="one is subtracted")
MASK_ALL_VOID = Kind("mask_all_void", "warning", "Mask is void all over", fix="left out with its image")
CROPS_ALL_VOID = Kind("crops_all_void", "warning", "Many training crops would be void all over")

_OWN = tuple(value for value in globals().values() if isinstance(value, Kind))
KINDS = {kind.name: kind for kind in (*READER_KINDS, *_OWN)}
"""Name -> kind, in the order in which a report shows them within a severity."""
