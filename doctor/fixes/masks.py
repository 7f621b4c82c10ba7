"""Masks for ``--fix``: ids that were misunderstood are mapped, masks that can't be are left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.images.header import opened
from pocketvision.datasets.images.read import read_bytes
from pocketvision.datasets.masks.cityscapes import CITYSCAPES_LABEL_IDS, cityscapes_lookup
from pocketvision.doctor.checks.images import ImageFacts
from pocketvision.doctor.checks.masks import MaskFacts
from pocketvision.doctor.fixes.images import FixedImage, fix_images, link, relative
from pocketvision.doctor.raw.stated import RawPair, RawSegmentation

IdTable = npt.NDArray[np.uint8]
_SAME_RATIO = 0.02
_LISTS = ("classes.txt", "classes.csv", "class_dict.csv")


def fix_masks(
    data: RawSegmentation, masks: list[MaskFacts], cause: str, facts: dict[str, ImageFacts], output: Path
) -> None:
    """Write a cleaned copy of a segmentation data set into ``output``.

    Raises:
        InputError: nothing would be left.
    """
    table = lookup_of(cause, data)
    present = [pair for pair in data.pairs if pair.mask.is_file()]
    good = [
        (pair, mask)
        for pair, mask in zip(present, masks, strict=True)
        if mask.size is not None and mask.format not in ("JPEG", "MPO") and _is_usable(mask, data)
    ]
    turned = [(pair.image, _is_turned(mask, facts.get(str(pair.image)))) for pair, mask in good]
    images = fix_images(turned, facts, data.root, output)
    kept = [(pair, mask) for pair, mask in good if _fits(mask, images.get(pair.image))]
    if not kept:
        raise InputError(f"{data.root} has no image with a usable mask: there is nothing to write.")
    for pair, mask in kept:
        _write_mask(pair, mask, images[pair.image], table, data, output)
    for image in images.keys() - {pair.image for pair, _ in kept}:
        (output / images[image].name).unlink()
    _write_lists(data, [pair for pair, _ in kept], images, output)


def lookup_of(cause: str, data: RawSegmentation) -> IdTable:
    """Table (256,) from the values that masks have to those that they should have."""
    table = np.arange(256, dtype=np.uint8)
    if cause == "mask_binary":
        table[255] = 1
    elif cause == "mask_label_ids":
        table = np.where(cityscapes_lookup() < len(CITYSCAPES_LABEL_IDS), cityscapes_lookup(), IGNORE_INDEX)
    elif cause == "mask_train_ids":
        table[:] = IGNORE_INDEX
        table[: len(CITYSCAPES_LABEL_IDS)] = CITYSCAPES_LABEL_IDS
    elif cause == "mask_shifted":
        table = np.where(np.arange(256) < IGNORE_INDEX, np.arange(256) - 1, IGNORE_INDEX)
        table[0] = IGNORE_INDEX
    elif data.values is not None:
        unexpected = [value for value in range(256) if value not in data.values | data.ignored]
        table[unexpected] = IGNORE_INDEX
    return table.astype(np.uint8)


def _is_usable(mask: MaskFacts, data: RawSegmentation) -> bool:
    """Ids, or colors of a table; not void all over."""
    return (
        bool(data.colors and not mask.strange)
        if mask.counts is None
        else not set(mask.values) <= data.ignored
    )


def _is_turned(mask: MaskFacts, facts: ImageFacts | None) -> bool:
    return facts is not None and facts.orientation != 1 and mask.size == facts.upright_size != facts.size


def _fits(mask: MaskFacts, image: FixedImage | None) -> bool:
    if image is None or mask.size is None:
        return False
    ratio = mask.size[1] / mask.size[0] * image.size[0] / image.size[1]
    return abs(ratio - 1) < _SAME_RATIO


def _write_mask(
    pair: RawPair, mask: MaskFacts, image: FixedImage, table: IdTable, data: RawSegmentation, output: Path
) -> None:
    target = output / relative(pair.mask, data.root)
    if data.format == "mask_folder":  # a mask has the stem of its image
        target = target.with_stem(image.name.stem)
    target = target.with_suffix(".png")
    is_same = mask.counts is None or all(table[value] == value for value in mask.values)
    if is_same and mask.size == image.size and mask.format == "PNG":
        link(pair.mask, target)
        return
    with opened(read_bytes(pair.mask), str(pair.mask)) as picture:
        values = np.asarray(picture if mask.counts is None else picture.convert(picture.mode))
    if mask.counts is not None:
        values = table[values.astype(np.uint8)]
    if mask.size != image.size:
        values = cv2.resize(values, image.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    with replacing(target) as temporary:
        Image.fromarray(values).save(temporary, "PNG")


def _write_lists(
    data: RawSegmentation, kept: list[RawPair], images: dict[Path, FixedImage], output: Path
) -> None:
    """The lists of splits and of class names."""
    for file in (data.root / name for name in _LISTS):
        if file.is_file():
            link(file, output / file.name)
    for listing, stems in _lists(data, kept, images):
        with replacing(output / listing) as temporary:
            temporary.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _lists(
    data: RawSegmentation, kept: list[RawPair], images: dict[Path, FixedImage]
) -> Iterator[tuple[Path, list[str]]]:
    for split, listing in data.listings.items():
        stems = [images[pair.image].name.stem for pair in kept if split in pair.splits]
        yield relative(listing, data.root), stems
