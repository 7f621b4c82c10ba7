"""Sheets that show on real pictures what a model found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from pocketvision.core.drawing import (
    BoxName,
    Color,
    color_mask,
    contact_sheet,
    draw_boxes,
    draw_names,
    false_color,
    legend,
    name_boxes,
    name_texts,
    overlay_mask,
    palette_for,
    stack,
)
from pocketvision.core.resize import Image
from pocketvision.core.structures import BoxTarget, Detections

TRUTH_COLOR: Color = (120, 255, 160)
PREDICTION_COLOR: Color = (255, 140, 0)

NUM_PICTURES = 12
"""Images on the sheet that an evaluation leaves."""
DEFAULT_THRESHOLD = 0.5
"""Least score that is shown where nothing says which is best, as predict has it."""

_TILE_WIDTH, _MAX_TILE_HEIGHT = 448, 896
_BORDER = 8
_COLUMNS = 4

_Images = Tensor | Sequence[Image]
"""(N, C, H, W) uint8, or N images (H, W, C) uint8 of any sizes; drawn in false colors unless they are RGB."""


def detection_sheet(
    images: _Images,
    targets: Sequence[BoxTarget],
    detections: Sequence[Detections],
    class_names: Sequence[str | None],
    threshold: float | None = DEFAULT_THRESHOLD,
    captions: Sequence[str] | None = None,
) -> Image:
    """One tile an image: truth in thin green, predictions in orange, both with names where there is room for
    them; the first prediction of each class always has its own.

    ``targets`` and ``detections`` are in pixels of ``images``; detections under ``threshold`` are left out,
    with None none are, as they were chosen by thresholds of their classes.
    """
    tiles = []
    for image, target, found in zip(_to_arrays(images), targets, detections, strict=True):
        tile, scale = fit_tile(image)
        keep = found.scores >= (-np.inf if threshold is None else threshold)
        boxes, scores, labels = (values[keep].cpu() for values in found)
        truth, true_labels = target.boxes.cpu() * scale, target.labels.cpu()
        # Names come after the lines, which would strike them out, and those of predictions first.
        tile = draw_boxes(tile, truth, true_labels, None, color=TRUTH_COLOR, line_width=1)
        tile = draw_boxes(tile, boxes * scale, labels, None, color=PREDICTION_COLOR)
        colors = [PREDICTION_COLOR] * len(labels)
        names = name_boxes((boxes * scale).tolist(), labels.tolist(), class_names, colors, scores)
        names += [
            BoxName(text, box, TRUTH_COLOR, is_below=True, is_needed=False)
            for text, box in zip(name_texts(true_labels.tolist(), class_names), truth.tolist(), strict=True)
        ]
        tiles.append(draw_names(tile, names))
    sheet = contact_sheet(tiles, _COLUMNS, captions)
    least = "its class's best threshold" if threshold is None else f"{threshold:.2f}"
    lines = ("truth", f"prediction with its score, {least} or more; both named where there is room")
    return stack(legend(lines, (TRUTH_COLOR, PREDICTION_COLOR), width=sheet.shape[1]), sheet)


class Answer(NamedTuple):
    """A classifier's answer for one image: names of the true and the predicted class, and its score."""

    truth: str
    predicted: str
    score: float


def classification_sheet(images: _Images, answers: Sequence[Answer]) -> Image:
    """One tile an image in a green frame where the answer is right and an orange one where it is wrong."""
    tiles, captions = [], []
    for image, answer in zip(_to_arrays(images), answers, strict=True):
        tile, _ = fit_tile(image)
        right = answer.predicted == answer.truth
        color = TRUTH_COLOR if right else PREDICTION_COLOR
        framed = cv2.copyMakeBorder(tile, *(_BORDER,) * 4, cv2.BORDER_CONSTANT, value=color)
        tiles.append(np.asarray(framed, np.uint8))
        truth = "" if right else f", in truth {answer.truth}"
        captions.append(f"{answer.predicted} {answer.score:.2f}{truth}")
    sheet = contact_sheet(tiles, _COLUMNS, captions)
    lines = "predicted class and its score: right", "wrong"
    return stack(legend(lines, (TRUTH_COLOR, PREDICTION_COLOR), width=sheet.shape[1]), sheet)


def segmentation_sheet(
    images: _Images,
    masks: Sequence[Tensor],
    predictions: Sequence[Tensor],
    class_names: Sequence[str | None],
    captions: Sequence[str] | None = None,
) -> Image:
    """Rows of image, truth and prediction laid over it, below a legend of all classes.

    ``masks`` and ``predictions`` are (H, W) class indices of any resolution; 255 is dark gray.
    ``captions`` are what stands below the images.
    """
    palette = palette_for(class_names)
    tiles = []
    for image, mask, prediction in zip(_to_arrays(images), masks, predictions, strict=True):
        tile, _ = fit_tile(image)
        truth = color_mask(_mask_like(mask, tile), palette)
        tiles += [tile, truth, overlay_mask(tile, _mask_like(prediction, tile), palette, alpha=0.7)]
    firsts = captions or ["image"] * (len(tiles) // 3)
    lines = [line for first in firsts for line in (first, "truth", "prediction over the image")]
    sheet = contact_sheet(tiles, 3, lines)
    return stack(legend(class_names, palette, width=sheet.shape[1]), sheet)


def _to_arrays(images: _Images) -> list[Image]:
    if isinstance(images, Tensor):
        images = list(images.permute(0, 2, 3, 1).cpu().numpy())
    return [false_color(image) for image in images]


def fit_tile(image: Image) -> tuple[Image, float]:
    """The image (H, W, 3) in the width of a tile, where names can be read, and by how much it was scaled.

    A narrow image gets less than that width: its height is bounded too. What fits a tile stays as it is.
    """
    height, width = image.shape[:2]
    scale = min(_TILE_WIDTH / width, _MAX_TILE_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return image, 1.0
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=method), np.uint8), scale


def _mask_like(mask: Tensor, tile: Image) -> Image:
    values = mask.cpu().numpy().astype(np.uint8)
    resized = cv2.resize(values, tile.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)
