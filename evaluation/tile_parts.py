"""What is found in the tiles of a picture, put together as ``predict`` puts it together."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from pocketvision.core.structures import ArrayDetections, Detections, TilePlace, Window
from pocketvision.datasets.tiles.merging import merge_detections, merge_label_maps

_Part = TypeVar("_Part")


class _Parts(Generic[_Part]):
    """Results of tiles that come one after the other, until a picture's last one."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._windows: list[Window] = []

    def _take(self, place: TilePlace, part: _Part) -> tuple[list[_Part], list[Window]] | None:
        """All results of the picture with its last tile; None before."""
        self._parts.append(part)
        self._windows.append(Window(*place.window))
        if not place.is_last:
            return None
        taken = self._parts, self._windows
        self._parts, self._windows = [], []
        return taken


class TileDetections(_Parts[ArrayDetections]):
    """Detections of tiles -> those of pictures; boxes of a class that overlap by more are one."""

    def __init__(self, iou_threshold: float) -> None:
        super().__init__()
        self.iou_threshold = iou_threshold

    def add(self, place: TilePlace, part: Detections) -> Detections | None:
        """Take detections in pixels of a tile; with a picture's last one its detections, else None."""
        taken = self._take(place, ArrayDetections(*(value.cpu().numpy() for value in part)))
        if taken is None:
            return None
        merged = merge_detections(*taken, place.picture_size, self.iou_threshold)
        return Detections(*(torch.from_numpy(value) for value in merged))


class TileLabelMaps(_Parts[Tensor]):
    """Label maps of tiles -> those of pictures."""

    def add(self, place: TilePlace, part: Tensor) -> Tensor | None:
        """Take the map (h, w) uint8 of a tile; with a picture's last one its map (H, W), else None."""
        taken = self._take(place, part)
        if taken is None:
            return None
        parts, windows = taken
        return torch.from_numpy(
            merge_label_maps([map_.numpy() for map_ in parts], windows, place.picture_size)
        )
