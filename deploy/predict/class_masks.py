"""Label maps as a mask a class, and back; COCO's run-length code of masks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size


def split_label_map(label_map: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The labels (M,) in a label map (H, W) and the mask of each (M, H, W)."""
    labels = np.unique(label_map)
    return labels.astype(np.int64), label_map[None] == labels[:, None, None]


def join_masks(masks: Sequence[Any], labels: Any, names: Sequence[str | None], size: Size) -> dict[str, Any]:
    """The inverse of :func:`split_label_map`: later masks cover earlier ones, the rest is "background".

    Raises:
        InputError: a mask has another size, or pixels are in none and no class is called background.
    """
    known = check_labels(labels, names)
    label_map, is_given = np.zeros(size, np.uint8), np.zeros(size, np.bool_)
    for mask, label in zip(masks, known.tolist(), strict=True):
        if np.shape(mask) != size:
            raise InputError(f"A mask has the shape {np.shape(mask)}, the image {size}: they must agree.")
        inside = np.asarray(mask, np.bool_)
        label_map[inside], is_given[inside] = label, True
    if not is_given.all():
        if "background" not in names:
            raise InputError("Pixels are in no mask, and no class is called background: name one so.")
        label_map[~is_given] = list(names).index("background")
    return {"label_map": label_map}


def encode_rle(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's code of a mask (H, W), as JSON takes it."""
    from pycocotools import mask as rle  # type: ignore[import-untyped]

    code = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def decode_rle(segmentation: Any, size: Size, number: int) -> npt.NDArray[Any]:
    """The mask (H, W) of annotation ``number``.

    Raises:
        InputError: it is none, or of another size.
    """
    from pycocotools import mask as rle

    if not isinstance(segmentation, Mapping) or tuple(segmentation.get("size", ())) != size:
        raise InputError(f"Annotation {number} has no RLE mask of the image's size {size}.")
    try:
        is_list = isinstance(segmentation["counts"], list)
        code = rle.frPyObjects(dict(segmentation), *size) if is_list else segmentation
        with warnings.catch_warnings():  # pycocotools' arrays are older than NumPy 2's way to copy
            warnings.filterwarnings("ignore", message="__array__", category=DeprecationWarning)
            mask: npt.NDArray[Any] = rle.decode(code)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"Annotation {number} has an RLE mask that can't be read: {error}.") from error
    return mask


def box_around(mask: npt.NDArray[np.bool_]) -> list[float]:
    """The box xyxy around a mask (H, W) that has pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def check_labels(labels: Any, names: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Labels as indices into the names.

    Raises:
        InputError: one is none.
    """
    known = np.array(labels)
    for label in np.unique(known).tolist():
        if label != int(label) or not 0 <= label < len(names) or names[int(label)] is None:
            raise InputError(f"There is no class {label:g}: there are {len(names)} names, counted from 0.")
    return known.astype(np.int64)
