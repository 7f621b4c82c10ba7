"""Contact sheets of what a model is trained on: augmented images with their truth, and matched anchors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pocketvision.core.boxes import box_iou
from pocketvision.core.drawing import (
    PALETTE,
    contact_sheet,
    draw_boxes,
    false_color,
    legend,
    overlay_mask,
    palette_for,
    stack,
)
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image
from pocketvision.core.structures import BOTH, BoxTarget, ClassTarget, MaskTarget, PairedTarget
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.joint import JointDataModule
from pocketvision.datasets.paired import PairedDataset
from pocketvision.models import Detector

_TILE, _LARGE_TILE, _COLUMNS = 360, 960, 4
_MAX_TEXT = 40

_Target = BoxTarget | MaskTarget | ClassTarget | PairedTarget
_Names = tuple[str | None, ...]


def data_sheet(data: Any, num_images: int) -> Image:
    """``num_images`` training samples, evenly chosen, exactly as the model gets them, with their truth.

    ``data`` is a connected data module; of several tasks each that has turns has its sheet, one below the
    other, the first of images that teach boxes and map. With fewer images than asked for they come again, as
    a later epoch augments them.
    """
    dataset = data.dataset(data.train_split, train=True)
    if not isinstance(data, JointDataModule):
        return _sheet(dataset, num_images)
    turns = [name for name in (BOTH, *data.parts) if name in data.shares]
    return stack(*(_sheet(dataset.parts[name], num_images) for name in turns))


def _sheet(dataset: Any, num_images: int) -> Image:
    records, count = dataset.records, len(dataset)
    names = records.class_names
    mask_names = dataset.masks.records.class_names if isinstance(dataset, PairedDataset) else names
    chosen = spread(count, num_images)
    tiles, captions = [], []
    for i in range(num_images):
        epoch, index = (i // count, i % count) if count < num_images else (0, chosen[i])
        image, target = dataset[epoch, index]
        tiles.append(tile(image, target, names, mask_names))
        captions.append(_caption(target, names, records.image_paths[index]))
    sheet = contact_sheet(tiles, _COLUMNS, captions)
    if isinstance(target, MaskTarget | PairedTarget):
        return stack(legend(mask_names, palette_for(mask_names), width=sheet.shape[1]), sheet)
    return sheet


def tile(image: Tensor, target: _Target, class_names: _Names, mask_names: _Names) -> Image:
    """One sample (3, H, W) uint8 at the width of a tile with its boxes or mask; void is dark gray.

    Where it has both the boxes are over the map, whose classes are ``mask_names``.
    """
    picture, scale = _enlarge(image, _TILE)
    boxes, mask = target if isinstance(target, PairedTarget) else (target, target)
    drawn = picture
    if isinstance(mask, MaskTarget):
        size = picture.shape[1], picture.shape[0]
        resized = cv2.resize(mask.mask.numpy(), size, interpolation=cv2.INTER_NEAREST_EXACT)
        drawn = overlay_mask(picture, np.asarray(resized, dtype=np.uint8), palette_for(mask_names))
    if isinstance(boxes, BoxTarget):
        drawn = draw_boxes(drawn, boxes.boxes * scale, boxes.labels, class_names)
    return stack(picture, drawn) if isinstance(mask, MaskTarget) else drawn


def anchor_sheet(model: Detector, data: Any, loss: Any) -> tuple[Image, str]:
    """The first training image with boxes, with the anchors that learn its boxes, and a line about them.

    Each box and its anchors have one color: the truth is thick, its best anchor has its IoU written
    beside it, the other positive ones are thin.

    Raises:
        InputError: the loss matches no anchors, or no image has a box.
    """
    if not hasattr(loss, "matcher"):
        raise InputError("--anchors shows what a detector's matcher does: the config's loss has none.")
    dataset = data.dataset(data.train_split, train=True)
    pairs = (dataset[0, index] for index in range(len(dataset)))
    image, target = next(((i, t) for i, t in pairs if len(t.labels)), (None, None))
    if image is None or target is None:
        raise InputError("No training image has a box: there are no anchors to match.")
    with torch.no_grad():
        anchors = model.eval()(image[None]).anchors
    is_box = torch.ones(1, len(target.labels), dtype=torch.bool)
    matches = loss.matcher(target.boxes[None], is_box, anchors)[0]
    overlaps = box_iou(target.boxes, anchors)
    picture, scale = _enlarge(image, _LARGE_TILE)
    lost = 0
    for number, box in enumerate(target.boxes):
        color, own = PALETTE[number % len(PALETTE)], (matches == number).nonzero()[:, 0]
        picture = draw_boxes(picture, anchors[own] * scale, [0] * len(own), None, color=color, line_width=1)
        picture = draw_boxes(picture, box[None] * scale, [0], None, color=color, line_width=4)
        if not len(own):
            lost += 1
            continue
        best = own[overlaps[number, own].argmax()]
        overlap = f"{float(overlaps[number, best]):.2f}"
        picture = draw_boxes(picture, anchors[best][None] * scale, [0], [overlap], color=color)
    positives = int((matches >= 0).sum())
    line = (
        f"{len(target.labels)} boxes, {len(anchors)} anchors, {positives} positive ones; {lost} boxes have "
        f"none, {int((overlaps.max(dim=1).values < 0.5).sum())} have none that overlaps by 0.5"
    )
    return contact_sheet([picture], 1, [line]), line


def _caption(target: _Target, class_names: _Names, path: str) -> str:
    name = Path(path).name
    text = f"{class_names[target.label]}: {name}" if isinstance(target, ClassTarget) else name
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _enlarge(image: Tensor, width: int) -> tuple[Image, float]:
    """(C, H, W) uint8 -> (h, ``width``, 3) and the factor."""
    array, scale = false_color(np.ascontiguousarray(image.permute(1, 2, 0).numpy())), width / image.shape[2]
    size = width, max(1, round(image.shape[1] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(array, size, interpolation=method), np.uint8), scale
