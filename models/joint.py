"""One backbone + several heads = JointModel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from pocketvision.core.protocols import Backbone, body_of
from pocketvision.core.structures import DetectionOutput, Features, join_names
from pocketvision.models.classifier import Classifier
from pocketvision.models.detector import Detector
from pocketvision.models.input_facts import describe_inputs
from pocketvision.models.segmenter import Segmenter
from pocketvision.models.shared_backbone import SharedBackbone

SingleModel: TypeAlias = Classifier | Detector | Segmenter
"""A model of one task."""


class JointModel(nn.Module):
    """Two or three of a detector, a segmenter and a classifier, on one backbone.

    Each of ``parts`` is a whole model of its task whose innermost backbone is a
    :class:`~pocketvision.models.shared_backbone.SharedBackbone` around ``backbone``: alone it can be trained
    and scored as any other. ``forward`` maps images (N, 3, H, W) to the output of each by its task, and
    computes the features once.

    ``class_names`` are ``TASK/NAME``, as ``detection/car``: two tasks may have a class of the same name.

    Raises:
        ValueError: the parts are for the same task, of another backbone, or take images otherwise.
    """

    def __init__(self, backbone: Backbone, *parts: SingleModel) -> None:
        super().__init__()
        tasks = [_task_of(part) for part in parts]
        if len(parts) < 2 or len(set(tasks)) < len(parts):
            raise ValueError(
                f"the parts are for {', '.join(tasks)}: give two or three, each for another task."
            )
        for task, part in zip(tasks, parts, strict=True):
            if body_of(part.backbone) is not body_of(backbone):
                raise ValueError(f"the part for {task} has a backbone of its own: share one.")
            if not _takes_the_same(part, parts[0]):
                raise ValueError(
                    f"the part for {task} resizes or normalizes otherwise than that for {tasks[0]}: "
                    "one forward pass has one input."
                )
        self.backbone = backbone
        self.parts = nn.ModuleDict(dict(zip(tasks, parts, strict=True)))
        self.resize, self.normalize = parts[0].resize, parts[0].normalize
        self.class_names: tuple[str | None, ...] = join_names(
            {task: self.part(task).class_names for task in tasks}
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the parts, in order."""
        return tuple(self.parts)

    def part(self, task: str) -> SingleModel:
        """The model for a task."""
        return cast(SingleModel, self.parts[task])

    def alone(self, task: str) -> SingleModel:
        """A copy of a part that has the backbone to itself: what a model of this task alone would be."""
        part = deepcopy(self.part(task))
        for module in list(part.modules()):
            if isinstance(module, SharedBackbone):
                module.own()
        return part

    def forward(self, images: Tensor) -> dict[str, DetectionOutput | Tensor]:
        features = self.features(images)
        return {task: self.answer(task, features, images) for task in self.tasks}

    def features(self, images: Tensor) -> Features:
        """What the parts read of images (N, 3, H, W): all that any of them asks for."""
        with torch.autocast(images.device.type, enabled=False):
            normalized = self.normalize(images)
        return self.backbone(normalized)

    def answer(self, task: str, features: Features, images: Tensor) -> DetectionOutput | Tensor:
        """One part's output for images of which the shared ``features`` are known."""
        part = self.part(task)
        own: Features = cast(nn.Module, part.backbone)(features)
        return part.answer(own, images)

    @contextmanager
    def computed_once(self, images: Tensor) -> Iterator[None]:
        """Within, parts that are given these images (N, 3, H, W) read features that are computed before."""
        with self.reading(dict.fromkeys(self.tasks, self.features(images))):
            yield

    @contextmanager
    def reading(self, features: Mapping[str, Features]) -> Iterator[None]:
        """Within, the part for each task reads these features, whatever images it is given."""
        readers = [
            (module, known)
            for task, known in features.items()
            for module in self.part(task).modules()
            if isinstance(module, SharedBackbone)
        ]
        for reader, known in readers:
            reader.known = known
        try:
            yield
        finally:
            for reader, _ in readers:
                reader.known = None

    def passport(self) -> dict[str, Any]:
        """What a weights file must say for the weights to be used rightly."""
        return {
            "task": "joint",
            **describe_inputs(self, self.class_names, self.normalize, self.resize),
            "parts": {task: self.part(task).passport() for task in self.tasks},
        }


def _task_of(model: SingleModel) -> str:
    if isinstance(model, Detector):
        return "detection"
    return "segmentation" if isinstance(model, Segmenter) else "classification"


def _takes_the_same(model: SingleModel, other: SingleModel) -> bool:
    """Whether both resize and normalize images alike; numbers on the meta device, which has none, do."""
    pairs = [(getattr(model.normalize, name), getattr(other.normalize, name)) for name in ("mean", "std")]
    return model.resize == other.resize and all(a.is_meta or torch.equal(a, b) for a, b in pairs)


def detector_in(model: nn.Module) -> Detector | None:
    """The detector that a model is, or has as a part."""
    if isinstance(model, JointModel):
        model = model.parts["detection"] if "detection" in model.tasks else model
    return model if isinstance(model, Detector) else None
