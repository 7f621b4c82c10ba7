"""Everything that a reader can tell; the doctor adds its own kinds. Errors are what training refuses."""

from __future__ import annotations

from pocketvision.datasets.records.notes import Kind

_LEFT_OUT = "left out"

# Images
IMAGE_MISSING = Kind(
    "image_missing", "error", "Image is missing", "images are not there", "its annotations are dropped"
)
IMAGE_ID_TWICE = Kind(
    "image_id_twice", "error", "Image id is there twice", "images have the id of another", "the first is kept"
)
IMAGE_TWICE = Kind(
    "image_twice", "warning", "Image file is listed twice",
    "images are listed twice, and their boxes are put together", "listed once, with the boxes of both",
)  # fmt: skip
IMAGE_ELSEWHERE = Kind(
    "image_elsewhere", "info", "Image lies elsewhere than stated",
    "images lie elsewhere than stated, or under a name that is spelled otherwise, and were found",
    "its name is corrected",
)  # fmt: skip
IMAGE_UNUSED = Kind(
    "image_unused", "warning", "Image is in no annotation or list",
    "images are in no annotation or list", _LEFT_OUT,
)  # fmt: skip
FILE_UNUSED = Kind(
    "file_unused", "warning", "File among the images is none",
    "files are no images that are read, and are left out", _LEFT_OUT,
)  # fmt: skip
IMAGE_UNREADABLE = Kind(
    "image_unreadable", "error", "Image can't be read", "images can't be read", "dropped with its annotations"
)
PICTURE_UNREAD = Kind(
    "picture_unread", "warning", "Picture of a format that is not read",
    "pictures are of a format that is not read, and are left out", _LEFT_OUT,
)  # fmt: skip
IMAGE_TURNED = Kind(
    "image_turned", "info", "Annotations fit the picture before EXIF turns it",
    "images are turned by EXIF, and as their annotations state the sizes before it, "
    "their boxes were turned too", "its boxes are turned",
)  # fmt: skip
IMAGE_BACKGROUND = Kind(
    "image_background",
    "info",
    "Image has no label file",
    "images have no label file and count as background",
)
FILE_HIDDEN = Kind(
    "file_hidden", "info", "Hidden file",
    "files that look like pictures or labels are hidden and left out", _LEFT_OUT,
)  # fmt: skip
SAME_STEM = Kind(
    "same_stem", "error", "Files differ only in their suffix",
    "files differ from another only in their suffix", "the first is kept",
)  # fmt: skip

# Annotation files
ANNOTATION_BROKEN = Kind(
    "annotation_broken", "error", "Annotation file can't be read", "files can't be read",
    "left out, with its images",
)  # fmt: skip
ANNOTATION_INCOMPLETE = Kind(
    "annotation_incomplete", "error", "Annotation entry is incomplete", "entries are incomplete", "dropped"
)
ANNOTATION_MISSING = Kind(
    "annotation_missing", "error", "Annotation file is missing", "files are missing", "its image is left out"
)
ANNOTATION_ELSEWHERE = Kind(
    "annotation_elsewhere", "info", "Label file lies elsewhere than its image",
    "label files lie elsewhere than their image, by whose name they were found", "put beside its image",
)  # fmt: skip
ANNOTATION_UNUSED = Kind(
    "annotation_unused", "warning", "Annotation file belongs to no image",
    "label files belong to no image and are left out", _LEFT_OUT,
)  # fmt: skip
PREDICTION_OPEN = Kind(
    "prediction_open", "warning", "Prediction that nobody has confirmed",
    "tasks have predictions that nobody has confirmed, and are left out", _LEFT_OUT,
)  # fmt: skip
TEXT_ENCODING = Kind(
    "text_encoding", "info", "Text in another encoding than UTF-8", "files are no UTF-8 and were decoded as "
    "their bytes suggest", "written as UTF-8",
)  # fmt: skip
TEXT_NUMBER = Kind(
    "text_number", "info", "Number is written as text",
    "entries have numbers written as text, which are read as numbers", "written as numbers",
)  # fmt: skip
PAIRED_BY_PART = Kind(
    "paired_by_part", "info", "File is named with a prefix or suffix",
    "files have the name of their image with a prefix or suffix, by which they were found",
    "named as its image",
)  # fmt: skip

# Boxes
BOX_NOT_NUMBER = Kind(
    "box_not_number", "error", "Box has text instead of numbers", "boxes have text instead of numbers",
    "dropped",
)  # fmt: skip
BOX_NOT_SHARE = Kind(
    "box_not_share", "error", "Box has numbers that are no shares of the image",
    "boxes have numbers that are no shares of their image", "dropped",
)  # fmt: skip
BOX_NOT_FINITE = Kind(
    "box_not_finite", "error", "Box has NaN or infinity", "boxes have NaN or infinity", "dropped"
)
BOX_CONVENTION = Kind(
    "box_convention", "error", "Boxes are written in another convention",
    "boxes are written in another convention", "converted",
)  # fmt: skip
BOX_RELATIVE = Kind(
    "box_relative", "warning", "Boxes are shares of the image instead of pixels",
    "boxes are shares of their image and were multiplied by its sides", "converted to pixels",
)  # fmt: skip
BOX_SWAPPED = Kind(
    "box_swapped", "warning", "Box has swapped corners", "boxes have swapped corners, which were sorted",
    "sorted",
)  # fmt: skip
BOX_WITHOUT_AREA = Kind(
    "box_without_area", "warning", "Box has no area", "boxes without area are left out", "dropped"
)
BOX_AWAY = Kind(
    "box_away", "warning", "Box lies wholly outside its image",
    "boxes without area inside their image are left out", "dropped",
)  # fmt: skip
BOX_OUTSIDE = Kind(
    "box_outside", "warning", "Box reaches outside its image",
    "boxes reach more than a pixel beyond their image and were clipped", "clipped",
)  # fmt: skip
BOX_TWICE = Kind("box_twice", "warning", "Box is there twice", "boxes are there twice", "one is kept")
BOX_WITHOUT_IMAGE = Kind(
    "box_without_image", "error", "Annotation belongs to no image", "annotations belong to no image",
    "dropped",
)  # fmt: skip
BOX_FROM_OUTLINE = Kind(
    "box_from_outline", "info", "Object is a polygon or rotated",
    "objects have a polygon or a rotated box, and the boxes around them are read",
    "written as the box around it",
)  # fmt: skip
BOX_CONFIDENCE = Kind(
    "box_confidence", "info", "Box has a confidence",
    "lines have a confidence after the box, which is left out", "written without it",
)  # fmt: skip
SHAPE_UNUSED = Kind(
    "shape_unused", "warning", "Object is a point or a line",
    "objects have no area, as points and lines, and are left out", "dropped",
)  # fmt: skip
AREA_UNUSABLE = Kind(
    "area_unusable", "warning", "Area is no number",
    "boxes have an area that is no number, and that of the box is taken", "the box's own area is written",
)  # fmt: skip

FLAG_UNKNOWN = Kind(
    "flag_unknown", "error", "Mark is neither yes nor no", "marks are neither 0 nor 1", "taken for no"
)

# Classes
CLASS_UNKNOWN = Kind("class_unknown", "error", "Class is unknown", "boxes have an unknown class", "dropped")
CLASS_TWICE = Kind(
    "class_twice", "error", "Class is defined twice", "classes are defined twice", "the first is kept"
)
CLASS_MERGED = Kind(
    "class_merged", "warning", "Class is listed twice", "classes are listed twice and were put together",
    "listed once",
)  # fmt: skip
CLASS_ROOT = Kind(
    "class_root", "info", "Class that no box has stands for all classes or for the background",
    "classes stand for all others or for the background, have no box, and are left out", _LEFT_OUT,
)  # fmt: skip
CLASS_NOT_IN_MODEL = Kind(
    "class_not_in_model", "warning", "Class that the model does not know",
    "boxes have a class that is not among the model's",
)  # fmt: skip
IMAGE_NOT_IN_MODEL = Kind(
    "image_not_in_model", "warning", "Image of a class that the model does not know",
    "images have a class that is not among the model's and are left out",
)  # fmt: skip
PIXELS_NOT_IN_MODEL = Kind(
    "pixels_not_in_model", "warning", "Masks have a class that the model does not know",
    "classes of the data are not among the model's",
)  # fmt: skip
CLASS_NAMES_MISSING = Kind(
    "class_names_missing", "warning", "Nothing says what the classes are called",
    "times nothing says what the classes are called",
)  # fmt: skip

# Splits
SPLIT_WHOLE = Kind(
    "split_whole", "warning", "Folder of the split is not there",
    "splits have no folder of their own, and all class folders stand for them",
)  # fmt: skip

# Masks
MASK_MISSING = Kind("mask_missing", "error", "Image has no mask", "images have no mask", _LEFT_OUT)
MASK_SIZE = Kind(
    "mask_size", "error", "Mask has another size than its image",
    "masks have another size than their image", "resized if its aspect ratio is right, else left out",
)  # fmt: skip
MASK_UNREADABLE = Kind(
    "mask_unreadable", "error", "Mask can't be read", "masks can't be read", "left out with its image"
)
MASK_UNEXPECTED = Kind(
    "mask_unexpected", "error", "Mask has unexpected ids", "masks have ids or colors that are no classes",
    "these pixels become 255 (ignored), a mask with unknown colors is left out",
)  # fmt: skip
MASK_COLORS = Kind(
    "mask_colors", "error", "Mask has colors instead of class ids", "masks have colors instead of class ids",
    "left out with its image",
)  # fmt: skip
MASK_LEVELS = Kind(
    "mask_levels", "warning", "Masks have gray levels instead of class ids",
    "splits have gray levels instead of class ids, of which the nearest is read", "written as class ids",
)  # fmt: skip
MASK_CHANNELS = Kind(
    "mask_channels", "info", "Mask has several equal channels",
    "masks have equal channels, or alpha, and the first is read", "written with one channel",
)  # fmt: skip
MASK_UNUSED = Kind(
    "mask_unused", "info", "Mask has no image", "masks have no image and are left out", _LEFT_OUT
)
OUTLINE_DROPPED = Kind(
    "outline_dropped", "warning", "Part of an outline is no polygon",
    "parts of outlines are no polygons and are left out", _LEFT_OUT,
)  # fmt: skip
OUTLINE_BROKEN = Kind(
    "outline_broken", "error", "Mask of an object can't be read", "objects have a mask that can't be read",
    _LEFT_OUT,
)  # fmt: skip
OUTLINE_IS_BOX = Kind(
    "outline_is_box", "warning", "Object has no outline",
    "objects have no outline, and their boxes are filled", "its box is filled",
)  # fmt: skip

READER_KINDS = tuple(value for value in globals().values() if isinstance(value, Kind))
"""In the order in which a report shows them within a severity."""

KIND_OF = {kind.name: kind for kind in READER_KINDS}
