"""Importing this lets ``torch.export`` save graphs that give our structures."""

from __future__ import annotations

from torch.utils import _pytree

from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections

# torch.export can only save a graph whose output structures were given a stable name.
for _structure in (DetectionOutput, Detections, DetectionBatch):
    _pytree._register_namedtuple(
        _structure, serialized_type_name=f"pocketvision.core.structures.{_structure.__name__}"
    )
