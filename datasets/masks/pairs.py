"""Images and their masks: pairs by name, lists of splits, and sizes that must agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.header import file_header
from pocketvision.datasets.masks.layouts import MaskSplit, masks_beside, picture_stems
from pocketvision.datasets.readers.image_stems import unique_stems
from pocketvision.datasets.readers.pairing import pair
from pocketvision.datasets.readers.text import read_lines
from pocketvision.datasets.readers.tree import FileTree
from pocketvision.datasets.records.kinds import IMAGE_MISSING, MASK_MISSING, MASK_SIZE, MASK_UNUSED
from pocketvision.datasets.records.notes import Notes

MaskPairs = list[tuple[Path, Path]]
_MANY, _LOOKED_AT = 20_000, 2_000
"""Of more pairs than the first only the second are compared: loading compares each."""


def find_pairs(here: MaskSplit, split: str, tree: FileTree, notes: Notes) -> MaskPairs:
    """Images of a split with their masks, sorted or in the order of the list.

    Raises:
        InputError: there is no image, or no mask at all.
    """
    masks = (
        masks_beside(tree, here.masks) if here.is_mixed else list(picture_stems(tree, here.masks).values())
    )
    own_masks = set(masks) if here.is_mixed else set()
    images = [file for file in tree.images(here.images) if file not in own_masks]
    by_stem = unique_stems(images, here.images, notes)
    images = [by_stem[stem] for stem in sorted(by_stem)]
    if not masks:
        raise InputError(no_masks(here))
    if not here.is_mixed or here.listing is not None:
        notes.read |= {str(mask) for mask in masks}
    found = pair(images, masks, notes)
    wanted = images if here.listing is None else _listed(here.listing, images, notes)
    if not wanted:
        raise InputError(
            f"Split '{split}' has no images ({here.listing or here.images}): add some, or name another split."
        )
    for image in wanted:
        if image not in found:
            mask = here.masks / f"{image.stem}.png"
            sentence = f"{image} has no mask: add {mask}, or remove the image."
            notes.add(MASK_MISSING, image, sentence, "", image)
    _tell_unused(masks, set(found.values()), notes)
    pairs = [(image, found[image]) for image in wanted if image in found]
    notes.read |= {str(mask) for _, mask in pairs}
    return pairs


def no_masks(here: MaskSplit) -> str:
    """The sentence for a split without any mask."""
    return f"{here.images} has no masks: put them into {here.masks}."


def _listed(file: Path, images: Sequence[Path], notes: Notes) -> list[Path]:
    """The images that a list names, as stems, file names or paths."""
    notes.read.add(str(file))
    names = {image.name: image for image in images}
    stems = {image.stem: image for image in images}
    found = []
    for number, line in enumerate(read_lines(file, notes), start=1):
        name = line.replace("\\", "/").rpartition("/")[2]
        first = name.split()[0] if name.split() else name
        image = stems.get(name) or names.get(name) or names.get(first) or stems.get(first)
        if image is None:
            where = f"image {number}"
            sentence = f"{file}, {where}: there is no image '{line[:120]}': add it, or remove the line."
            notes.add(IMAGE_MISSING, file, sentence, where)
        else:
            found.append(image)
    return list(dict.fromkeys(found))


def _tell_unused(masks: Sequence[Path], used: set[Path], notes: Notes) -> None:
    for mask in masks:
        if mask not in used:
            notes.add(MASK_UNUSED, mask, f"{mask} has no image in any split: add the image, or remove it.")


def check_sizes(pairs: MaskPairs, notes: Notes) -> None:
    """Tell masks that have another size than their image, stored or upright."""
    step = 1 if len(pairs) <= _MANY else len(pairs) // _LOOKED_AT
    for image, mask in pairs[::step]:
        try:
            header, size = file_header(str(image)), file_header(str(mask)).upright_size
        except InputError:
            continue  # loading says what is wrong with it
        if size not in (header.size, header.upright_size):
            height, width = header.upright_size
            sentence = (
                f"{mask} is {size[1]}x{size[0]} pixels, but its image {image} is {width}x{height}: bring "
                "both to one size."
            )
            notes.add(MASK_SIZE, mask, sentence, image.name, image)
