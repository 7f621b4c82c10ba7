"""What was found in a data set, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pocketvision.core.structures import Size
from pocketvision.core.terminal import printable
from pocketvision.datasets.readers.detect_format import FoundData

_GOOD_CEILING = 0.9


@dataclass(frozen=True)
class OwnData:
    """What was found in a data set, and what follows from it but for the recipe.

    Attributes:
        model: one of :func:`~pocketvision.tasks.own.models.own_models`.
        class_names: of the data.
        num_images: of each split that can be read, training and validation first.
        batch_size: chosen, or given.
        image_size: (height, width) of the model's input.
        fitted: what is taken from the data: ``anchors``, their ``ceiling`` and ``max_detections`` for
            boxes; for masks ``class_weights``, the ``mode`` of resizing and the ``crop_size`` of training.
    """

    found: FoundData
    model: str
    class_names: tuple[str | None, ...]
    num_images: Mapping[str, int]
    batch_size: int
    image_size: Size
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """What a person should know of it."""
        counts = ", ".join(f"{split} {count}" for split, count in self.num_images.items())
        names = [name for name in self.class_names if name is not None]
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        height, width = self.image_size
        lines = [
            f"found: {self.found.description}",
            f"task: {self.found.task}",
            f"images: {counts}",
            f"{len(names)} classes: {shown}",
            f"model: {self.model}, input {height}x{width}, batches of {self.batch_size}",
        ]
        if "ceiling" in self.fitted:
            ceiling = self.fitted["ceiling"]
            hint = "" if ceiling >= _GOOD_CEILING else "; a larger model.image_size would reach more"
            lines.append(f"anchors: fitted to the boxes; one reaches {ceiling:.1%} of them at IoU 0.5{hint}")
            lines.append(f"at most {self.fitted['max_detections']} boxes a picture: model.max_detections")
        return [printable(line) for line in lines]
