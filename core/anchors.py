"""Anchor layouts (SSD's "default boxes"): frozen values that place anchors on any map and image size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pocketvision.core.structures import Size

Shape = tuple[float, float]
"""(width, height) of an anchor relative to the image."""


def place_anchors(shapes: list[list[Shape]], map_sizes: list[Size], image_size: Size) -> Tensor:
    """Put every shape at every cell center: (A, 4) xyxy pixels, in order map, row, column, shape."""
    height, width = image_size
    scale = torch.tensor([width, height], dtype=torch.float32)
    anchors = []
    for map_shapes, (rows, columns) in zip(shapes, map_sizes, strict=True):
        y = (torch.arange(rows, dtype=torch.float32) + 0.5) / rows
        x = (torch.arange(columns, dtype=torch.float32) + 0.5) / columns
        centers = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[:, :, None] * scale
        half = torch.tensor(map_shapes, dtype=torch.float32) * scale / 2
        anchors.append(torch.cat((centers - half, centers + half), dim=-1).reshape(-1, 4))
    return torch.cat(anchors)


def linear_scales(num_maps: int, low: float, high: float, last: float) -> list[float]:
    """``num_maps`` scales from ``low`` to ``high``, then ``last``, for the deepest map's extra anchor."""
    step = (high - low) / (num_maps - 1) if num_maps > 1 else 0.0
    return [*(low + step * i for i in range(num_maps)), last]


def _shape(scale: float, aspect_ratio: float) -> Shape:
    root = math.sqrt(aspect_ratio)
    return scale * root, scale / root


@dataclass(frozen=True)
class TensorFlowAnchors:
    """Layout of TensorFlow's Object Detection API (``create_ssd_anchors``).

    Three anchors a cell on the finest map (a small square at half of ``min_scale`` and two at
    ``min_scale`` with aspect ratios 2 and 1/2), six on every other map, none clipped.
    """

    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 0.3333)
    reduce_lowest: bool = True

    def shapes(self, num_maps: int) -> list[list[Shape]]:
        """(width, height) relative to the image of each map's anchors."""
        scales = linear_scales(num_maps, self.min_scale, self.max_scale, last=1.0)
        shapes = []
        for i in range(num_maps):
            if i == 0 and self.reduce_lowest:
                small = self.min_scale / 2
                shapes.append([_shape(small, 1.0), _shape(scales[0], 2.0), _shape(scales[0], 0.5)])
                continue
            between = math.sqrt(scales[i] * scales[i + 1])
            shapes.append([*(_shape(scales[i], ratio) for ratio in self.aspect_ratios), _shape(between, 1.0)])
        return shapes

    def num_anchors(self, num_maps: int) -> list[int]:
        """Anchors a cell, for each map."""
        return [len(shapes) for shapes in self.shapes(num_maps)]

    def __call__(self, map_sizes: list[Size], image_size: Size) -> Tensor:
        """Anchors (A, 4) in xyxy pixels of an image of ``image_size``."""
        return place_anchors(self.shapes(len(map_sizes)), map_sizes, image_size)


@dataclass(frozen=True)
class TorchvisionAnchors:
    """Layout of torchvision's ``DefaultBoxGenerator`` as its SSDLite uses it: six a cell on every map.

    Order: s, sqrt(s * s'), then width and height swapped pairs for each aspect ratio; relative
    width and height are clipped to 1 where ``clip``.
    """

    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (2.0, 3.0)
    clip: bool = True

    def shapes(self, num_maps: int) -> list[list[Shape]]:
        """(width, height) relative to the image of each map's anchors."""
        scales = linear_scales(num_maps, self.min_scale, self.max_scale, last=1.0)
        shapes = []
        for i in range(num_maps):
            pairs = [
                shape
                for r in self.aspect_ratios
                for shape in (_shape(scales[i], r), _shape(scales[i], 1 / r))
            ]
            between = math.sqrt(scales[i] * scales[i + 1])
            all_shapes = [_shape(scales[i], 1.0), _shape(between, 1.0), *pairs]
            shapes.append([(min(w, 1.0), min(h, 1.0)) if self.clip else (w, h) for w, h in all_shapes])
        return shapes

    def num_anchors(self, num_maps: int) -> list[int]:
        """Anchors a cell, for each map."""
        return [len(self.aspect_ratios) * 2 + 2] * num_maps

    def __call__(self, map_sizes: list[Size], image_size: Size) -> Tensor:
        """Anchors (A, 4) in xyxy pixels of an image of ``image_size``."""
        return place_anchors(self.shapes(len(map_sizes)), map_sizes, image_size)


@dataclass(frozen=True)
class CellAnchors:
    """One anchor a cell, ``scale`` times as large: the points of dense heads."""

    scale: float = 1.0

    def num_anchors(self, num_maps: int) -> list[int]:
        """Anchors a cell, for each map."""
        return [1] * num_maps

    def __call__(self, map_sizes: list[Size], image_size: Size) -> Tensor:
        """Anchors (A, 4) in xyxy pixels of an image of ``image_size``."""
        shapes = [[(self.scale / columns, self.scale / rows)] for rows, columns in map_sizes]
        return place_anchors(shapes, map_sizes, image_size)


@dataclass(frozen=True)
class ExplicitAnchors:
    """Anchors given one by one: ``map_shapes[i]`` lists (width, height) relative to the image for map i."""

    map_shapes: tuple[tuple[Shape, ...], ...]

    def shapes(self, num_maps: int) -> list[list[Shape]]:
        """(width, height) relative to the image of each map's anchors."""
        if num_maps != len(self.map_shapes):
            raise ValueError(
                f"anchors are given for {len(self.map_shapes)} maps, the backbone has {num_maps}"
            )
        return [list(shapes) for shapes in self.map_shapes]

    def num_anchors(self, num_maps: int) -> list[int]:
        """Anchors a cell, for each map."""
        return [len(shapes) for shapes in self.shapes(num_maps)]

    def __call__(self, map_sizes: list[Size], image_size: Size) -> Tensor:
        """Anchors (A, 4) in xyxy pixels of an image of ``image_size``."""
        return place_anchors(self.shapes(len(map_sizes)), map_sizes, image_size)
