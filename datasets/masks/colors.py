"""Masks as colors, with several channels, or with more than 8 bits -> masks of class ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import read_bytes
from pocketvision.datasets.masks.cache import cached_masks, mask_folder_of
from pocketvision.datasets.masks.class_table import ClassTable
from pocketvision.datasets.records.annotations import Mask
from pocketvision.datasets.records.kinds import (
    MASK_CHANNELS,
    MASK_COLORS,
    MASK_UNEXPECTED,
    MASK_UNREADABLE,
)
from pocketvision.datasets.records.notes import Kind, Notes

_WIDE = ("I;16", "I;16B", "I;16L", "I")
_COLORED = ("RGB", "RGBA")
_PALETTE = "P"
_ALPHA = ("LA", "PA")


class ClassIdMasks(NamedTuple):
    """Images with masks of class ids; ``sources`` are the masks as they came, None where they are these."""

    images: list[str]
    masks: list[str]
    sources: list[str] | None


class _UnfitMaskError(InputError):
    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def as_class_ids(pairs: Sequence[tuple[Path, Path]], table: ClassTable | None, notes: Notes) -> ClassIdMasks:
    """The masks themselves, or converted copies in the cache; those that can't be converted are told.

    Masks with one 8-bit channel stay, palettes too unless ``table`` gives their colors another order. What
    the first mask is holds for all.

    Raises:
        InputError: a mask is broken, has a color that is not in the table, or values above 255.
    """
    images, masks = [str(image) for image, _ in pairs], [str(mask) for _, mask in pairs]
    mode = next((mode for path in masks if (mode := _mode(path))), "")
    colors = table.colors if table else ()
    by_color = bool(colors) and mode not in _WIDE and mode != ""
    is_moved = mode == _PALETTE and by_color and _has_own_palette(masks[0], colors)
    if not is_moved and mode not in (*_WIDE, *_COLORED, *_ALPHA):
        return ClassIdMasks(images, masks, None)
    if not by_color and mode not in _WIDE:
        sentence = f"{masks[0]} has several channels ({mode}), of which the first is read: save one channel."
        notes.add(MASK_CHANNELS, masks[0], sentence)
        notes.count(MASK_CHANNELS, len(masks) - 1)

    def make(index: int) -> Mask | None:
        path = masks[index]
        try:
            if by_color and table is not None:
                return _by_color(_pixels(path, "RGB"), table, path)
            if mode in _WIDE:
                return _narrow(_pixels(path, None), path)
            return _one_channel(_pixels(path, "RGB"), path)
        except InputError as error:
            kind = error.kind if isinstance(error, _UnfitMaskError) else MASK_UNREADABLE
            notes.add(kind, path, str(error), Path(images[index]).name, images[index])
            return None

    folder = mask_folder_of("colors" if by_color else "channels", colors)
    made = cached_masks(folder, list(map(_name, masks)), make)
    kept = [i for i, path in enumerate(made) if path is not None]
    return ClassIdMasks(
        [images[i] for i in kept], [path for path in made if path is not None], [masks[i] for i in kept]
    )


def _has_own_palette(path: str, colors: tuple[tuple[int, int, int], ...]) -> bool:
    """Whether the palette holds the table's colors, but not at the indices of their classes."""
    with opened(read_bytes(path), path) as mask:
        mask.load()
        used = np.unique(np.asarray(mask)).tolist()
        flat = mask.getpalette() or []
    own = {i: (flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) for i in used if 3 * i + 2 < len(flat)}
    if len(own) < len(used) or not set(own.values()) <= set(colors):
        return False
    return any(i >= len(colors) or colors[i] != color for i, color in own.items())


def _by_color(pixels: npt.NDArray[np.int64], table: ClassTable, path: str) -> Mask:
    """(H, W, 3) colors -> (H, W) indices into the table."""
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    known = np.array([red << 16 | green << 8 | blue for red, green, blue in table.colors])
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
    wrong = known[order][place] != codes
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        color = ", ".join(str(value) for value in pixels[row, column, :3].tolist())
        raise _UnfitMaskError(
            MASK_UNEXPECTED,
            f"{path} has the color ({color}) in {int(wrong.sum())} pixels, which {table.file} does not "
            "list: add the color, or correct the mask.",
        )
    return order[place].astype(np.uint8)


def _one_channel(pixels: npt.NDArray[np.int64], path: str) -> Mask:
    """(H, W, 3) with equal channels -> (H, W)."""
    if (pixels != pixels[..., :1]).any():
        raise _UnfitMaskError(
            MASK_COLORS,
            f"{path} has colors: list them beside the names of the classes, as classes.csv in the "
            "data folder with lines of name,red,green,blue, or convert the masks to class ids.",
        )
    return pixels[..., 0].astype(np.uint8)


def _narrow(pixels: npt.NDArray[np.int64], path: str) -> Mask:
    if pixels.min() < 0 or pixels.max() > 255:
        raise InputError(
            f"{path} has the value {pixels.max()}: class ids must lie between 0 and 255; renumber them."
        )
    return pixels.astype(np.uint8)


def _mode(path: str) -> str:
    """The kind of pixels; empty where the file can't be read, which is told where it is used."""
    try:
        with opened(read_bytes(path), path) as mask:
            return str(mask.mode)
    except InputError:
        return ""


def _pixels(path: str, kind: str | None) -> npt.NDArray[np.int64]:
    """The values of a mask, or its colors where ``kind`` is RGB."""
    with opened(read_bytes(path), path) as mask:
        mask.load()
        if kind is None and mask.mode not in (*_WIDE, "L"):
            raise InputError(
                f"{path} has pixels of type {mask.mode}, other masks {_WIDE[0]}: convert all to one type."
            )
        if kind is not None and mask.mode in _WIDE:
            raise InputError(
                f"{path} has pixels of type {mask.mode}, other masks {kind}: convert all to one type."
            )
        if kind is not None and mask.mode == "LA":
            values = np.asarray(mask)[..., 0].astype(np.int64)
            return np.repeat(values[..., None], 3, axis=2)
        return np.asarray(mask if kind is None else mask.convert("RGB")).astype(np.int64)


def _name(path: str) -> str:
    """A name for the copy that changes whenever the file does; a file that is not there never has a copy."""
    try:
        state = Path(path).stat()
        text = f"{Path(path).resolve()} {state.st_mtime_ns} {state.st_size}"
    except OSError:  # a link to nothing
        text = path
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]
