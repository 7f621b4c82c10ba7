"""Every kind of finding as a row: how bad it is, its title, and what ``--fix`` does about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]


class Kind(NamedTuple):
    """``fix`` is what ``--fix`` does, in words; empty where it leaves things as they are."""

    severity: Severity
    title: str
    fix: str = ""


KINDS: dict[str, Kind] = {
    # Images
    "image_missing": Kind("error", "Image is missing", "its annotations are dropped"),
    "image_empty": Kind("error", "Image file has zero bytes", "dropped with its annotations"),
    "image_unreadable": Kind("error", "Image can't be read", "dropped with its annotations"),
    "image_truncated": Kind("error", "Image is truncated", "dropped with its annotations"),
    "image_rotated": Kind("warning", "EXIF turns the image", "rewritten upright, without the EXIF entry"),
    "image_cmyk": Kind("warning", "Image is CMYK", "rewritten as 8-bit RGB"),
    "image_16bit": Kind("warning", "Image has 16 bits a channel", "rewritten with 8 bits"),
    "image_grey": Kind("info", "Image is gray"),
    "image_format": Kind("warning", "Another format than the suffix says", "given the suffix of its format"),
    "image_unused": Kind("warning", "Image is in no annotation or list", "left out"),
    "size_differs": Kind(
        "error", "Annotations state another image size", "the file's size is stated, boxes are scaled to it"
    ),
    "size_turned": Kind(
        "warning", "Annotations fit the stored image, which EXIF turns", "rewritten as stored, as annotated"
    ),
    "image_id_twice": Kind("error", "Image id is there twice", "the first is kept"),
    "image_twice": Kind("warning", "Image file is listed twice", "the first is kept"),
    "same_stem": Kind("error", "Files differ only in their suffix", "the first is kept"),
    "same_name": Kind("info", "File name is in two folders"),
    "path_characters": Kind("info", "Spaces or unicode in the path"),
    "copy_across_splits": Kind("warning", "The same image in training and validation"),
    "near_copy_across_splits": Kind("warning", "Nearly the same image in training and validation"),
    # Annotation files
    "annotation_broken": Kind("error", "Annotation file can't be read", "left out, with its images"),
    "annotation_incomplete": Kind("error", "Annotation entry is incomplete", "dropped"),
    "annotation_missing": Kind("error", "Annotation file is missing", "its image is left out"),
    # Boxes
    "box_not_number": Kind("error", "Box has text instead of numbers", "dropped"),
    "box_not_finite": Kind("error", "Box has NaN or infinity", "dropped"),
    "box_convention": Kind("error", "Boxes are written in another convention", "converted"),
    "box_swapped": Kind("error", "Box has swapped corners", "sorted"),
    "box_outside": Kind("warning", "Box reaches outside its image", "clipped, or dropped if wholly outside"),
    "box_without_area": Kind("warning", "Box has no area", "dropped"),
    "box_twice": Kind("warning", "Box is there twice", "one is kept"),
    "box_without_image": Kind("error", "Annotation belongs to no image", "dropped"),
    # Classes
    "class_unknown": Kind("error", "Class is unknown", "dropped"),
    "class_twice": Kind("error", "Class is defined twice", "the first is kept"),
    "class_variants": Kind("error", "Class names differ by case or space", "merged to the most frequent"),
    "class_zero": Kind("warning", "Category id 0"),
    "class_unused": Kind("info", "Class has no example"),
    "class_not_trained": Kind("warning", "Class has no example to train on"),
    "class_imbalance": Kind("warning", "Classes are extremely imbalanced"),
    "class_names_missing": Kind("warning", "Nothing says what the classes are called"),
    # Masks
    "mask_missing": Kind("error", "Image has no mask", "left out"),
    "mask_unused": Kind("info", "Mask has no image", "left out"),
    "mask_unreadable": Kind("error", "Mask can't be read", "left out with its image"),
    "mask_size": Kind(
        "error", "Mask has another size than its image", "resized if its aspect ratio is right, else left out"
    ),
    "mask_jpeg": Kind("error", "Mask is a JPEG, whose values are smeared", "left out with its image"),
    "mask_colors": Kind("error", "Mask has colors instead of class ids", "left out with its image"),
    "mask_unexpected": Kind("error", "Mask has unexpected ids", "these pixels become 255 (ignored)"),
    "mask_binary": Kind("warning", "Mask is 0/255, where 255 usually means ignored", "255 becomes class 1"),
    "mask_label_ids": Kind("error", "Mask has Cityscapes' label ids", "mapped to train ids"),
    "mask_train_ids": Kind("error", "Mask has train ids where label ids are read", "mapped to label ids"),
    "mask_shifted": Kind("error", "Mask ids begin at 1", "one is subtracted"),
    "mask_all_void": Kind("warning", "Mask is void all over", "left out with its image"),
    "crops_all_void": Kind("warning", "Many training crops would be void all over"),
}  # fmt: skip
"""Kind -> what it means, in the order in which a report shows them within a severity."""
