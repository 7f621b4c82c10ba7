"""What a model of several tasks says about one image: a prediction of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image
from pocketvision.core.structures import join_names
from pocketvision.deploy.predict.prediction import Prediction


@dataclass(frozen=True, eq=False)
class JointPrediction(Prediction):
    """The predictions of every task for one image, from the same forward pass, as ``parts``.

    ``boxes`` and ``label_map`` are theirs, with ``scores`` and ``labels`` of the boxes. What turns a
    prediction into something else is for one task: take it from the part.
    """

    parts: Mapping[str, Prediction] = field(default_factory=dict)

    @classmethod
    def of(cls, image: Image, parts: Mapping[str, Prediction]) -> JointPrediction:
        """What ``parts`` say of ``image`` together."""
        boxes, street = parts.get("detection"), parts.get("segmentation")
        found = (
            {} if boxes is None else {name: getattr(boxes, name) for name in ("boxes", "scores", "labels")}
        )
        names = join_names({task: part.class_names for task, part in parts.items()})
        label_map = None if street is None else street.label_map
        return cls("joint", image, names, label_map=label_map, parts=parts, **found)

    @property
    def names(self) -> list[str]:
        """``TASK/NAME`` of what each part found."""
        return [f"{task}/{name}" for task, part in self.parts.items() for name in part.names]

    def draw(self) -> Image:
        """The image (H, W, 3) with the map, and over it the boxes and the class of the whole."""
        picture = self.image
        for task in ("segmentation", "detection", "classification"):
            if task in self.parts:
                picture = replace(self.parts[task], image=picture).draw()
        return picture

    def to_dict(self) -> dict[str, Any]:
        """As of each task: ``detections``, ``classes`` in the map, ``image_classes`` of the whole image."""
        keys = {"detection": "detections", "segmentation": "classes", "classification": "image_classes"}
        facts: dict[str, Any] = {"image": self.path, "size": list(self.size), "task": self.task}
        if self.frame is not None:
            facts["frame"] = self.frame
        return facts | {keys[task]: list(part) for task, part in self.parts.items()}

    def _rows(self) -> list[dict[str, Any]]:
        return [row for part in self.parts.values() for row in part]

    def _refuse(self, name: str) -> InputError:
        known = " or ".join(f"parts['{task}'].{name}()" for task in self.parts)
        return InputError(f"This is what several tasks say of one image: take {known}.")

    def to_numpy(self) -> npt.NDArray[Any]:
        raise self._refuse("to_numpy")

    def to_df(self) -> Any:
        raise self._refuse("to_df")

    def to_supervision(self) -> Any:
        raise self._refuse("to_supervision")

    def to_fiftyone(self, label_field: str = "predictions") -> Any:
        raise self._refuse("to_fiftyone")

    def to_fiftyone_dict(self) -> dict[str, Any]:
        raise self._refuse("to_fiftyone_dict")

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        raise self._refuse("to_coco")
