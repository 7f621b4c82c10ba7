"""The anchors that ``train --data`` fits to a data set's boxes."""

from __future__ import annotations

import numpy as np

from pocketvision.core.anchors import ExplicitAnchors, Shape
from pocketvision.core.resize import Resize
from pocketvision.doctor.anchors.reach import AnchorLayout, ImageBoxes, evenly, resize_boxes, shapes_of
from pocketvision.doctor.anchors.suggested import assign, cluster_shapes, suggest

STRIDES = (8, 16, 32, 64)
"""Of the maps of ``own_detection``."""

_MAX_BOXES = 50_000
_NUM_CLUSTERS, _MAX_LIKENESS = 12, 0.75


def fit_layout(found: ImageBoxes, resize: Resize) -> AnchorLayout:
    """Anchors for maps of :data:`STRIDES`, from at least one box.

    The fewest shapes that reach the boxes, and clusters of their shapes beside them where they differ:
    a box that several anchors overlap well is learned sooner.
    """
    looked_at = evenly(found, _MAX_BOXES)
    suggested = suggest(looked_at, resize, STRIDES).layout.anchors
    assert isinstance(suggested, ExplicitAnchors)
    shapes = {shape for own in suggested.map_shapes for shape in own}
    for center in cluster_shapes(
        shapes_of(resize_boxes(looked_at, resize), resize.image_size), _NUM_CLUSTERS
    ):
        if all(_shape_iou((center[0], center[1]), shape) < _MAX_LIKENESS for shape in shapes):
            shapes.add((float(center[0]), float(center[1])))
    in_order = np.array(sorted(shapes, key=lambda shape: shape[0] * shape[1]))
    return AnchorLayout("train --data", assign(in_order, resize.image_size, STRIDES), STRIDES)


def _shape_iou(a: Shape, b: Shape) -> float:
    """IoU of two shapes with the same center."""
    overlap = min(a[0], b[0]) * min(a[1], b[1])
    return overlap / (a[0] * a[1] + b[0] * b[1] - overlap)
