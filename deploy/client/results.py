"""From a model's outputs to boxes and classes, with NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pocketvision.deploy.client.opening import Facts
from pocketvision.deploy.client.pictures import taps

# <part>
# <logits>
STRIP = 32
"""Rows that are enlarged at a time: they fit a processor's cache."""
# </logits>


# <softmax|softmax_scores>
def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


# </softmax|softmax_scores>
# <sigmoid_scores>
def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Scores, each by itself."""
    return 1 / (1 + np.exp(-np.clip(logits, -80, None)))


# </sigmoid_scores>
# <ssd>
def decode_ssd(deltas: np.ndarray, anchors: np.ndarray, coder: Facts) -> np.ndarray:
    """Boxes from how far they are moved and scaled from their anchors."""
    size = anchors[:, 2:] - anchors[:, :2]
    center = deltas[:, :2] * np.float32(coder["center_variance"]) * size + (anchors[:, :2] + size / 2)
    growth = np.minimum(deltas[:, 2:] * np.float32(coder["size_variance"]), np.float32(coder["max_log_size"]))
    half = np.exp(growth) * size / 2
    return np.concatenate((center - half, center + half), axis=1)


# </ssd>
# <distances>
def decode_distances(deltas: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Boxes from how far their sides are from the center, in halves of the anchor's sides."""
    half = (anchors[:, 2:] - anchors[:, :2]) / 2
    center = anchors[:, :2] + half
    return np.concatenate((center - deltas[:, :2] * half, center + deltas[:, 2:] * half), axis=1)


# </distances>
# <nms>
def best_boxes(
    boxes: np.ndarray, scores: np.ndarray, facts: Facts
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NMS of boxes (A, 4) with scores (A, classes), class by class: boxes, scores and labels, best first."""
    anchors, labels = np.nonzero(scores > facts["score_threshold"])
    order = np.argsort(-scores[anchors, labels], kind="stable")
    anchors, labels = anchors[order], labels[order]
    is_candidate = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        is_candidate[np.flatnonzero(labels == label)[: facts["candidates_per_class"]]] = True
    # Classes are moved apart, so that boxes of different ones never overlap.
    apart = boxes[anchors].astype(np.float64)
    apart += (labels * (apart.max(initial=0) + 1))[:, None]
    kept: list[int] = []
    rest = np.flatnonzero(is_candidate)
    while len(rest) and len(kept) < facts["max_detections"]:
        kept.append(rest[0])
        rest = rest[1:][~(overlap(apart[rest[0]], apart[rest[1:]]) > facts["iou_threshold"])]
    return boxes[anchors[kept]], scores[anchors[kept], labels[kept]], labels[kept]


# </nms>
# <nms|boxes_in_tiles>
def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of a box (4,) with each of (M, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    both = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - both
    return both / np.maximum(areas, np.finfo(areas.dtype).tiny)


# </nms|boxes_in_tiles>
# <logits>
def best_classes(logits: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The class of every pixel (H, W) of an image of ``size``, from logits (classes, h, w)."""
    (top, bottom, y), (left, right, x) = (
        taps(*sides, np.float32) for sides in zip(logits.shape[1:], size, strict=True)
    )
    wide = logits[..., left] * (1 - x) + logits[..., right] * x
    labels = np.zeros(size, dtype=np.uint8)
    for start in range(0, size[0], STRIP):
        part = slice(start, start + STRIP)
        up, down = (1 - y[part])[:, None], y[part][:, None]
        for label, channel in enumerate(wide):
            values = channel[top[part]] * up + channel[bottom[part]] * down
            if label == 0:
                best = values
                continue
            np.copyto(labels[part], label, where=values > best)
            np.maximum(values, best, out=best)
    return labels


# <letterbox>
def enlarge(logits: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Bilinear interpolation of (classes, h, w) to ``size``, as PyTorch without aligned corners."""
    (top, bottom, y), (left, right, x) = (
        taps(*sides, np.float32) for sides in zip(logits.shape[1:], size, strict=True)
    )
    wide = logits[..., left] * (1 - x) + logits[..., right] * x
    return wide[:, top] * (1 - y)[:, None] + wide[:, bottom] * y[:, None]


# </letterbox>
# </logits>
# <label_map>
def resize_labels(labels: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A label map in another size: the pixel in which the middle of each new one lies."""
    rows, columns = (
        ((2 * np.arange(to) + 1) * length) // (2 * to) for length, to in zip(labels.shape, size, strict=True)
    )
    return labels[rows][:, columns]


# </label_map>
# </part>
