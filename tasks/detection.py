"""Training a detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pocketvision.core.structures import (
    BoxTarget,
    DetectionOutput,
    DetectionSamples,
    DistributionOutput,
    LossInput,
)
from pocketvision.losses.assignment import Assigner
from pocketvision.losses.distillation import Distillation
from pocketvision.models import Detector
from pocketvision.runs.teacher import load_teacher
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.ema import put_back, set_beside
from pocketvision.tasks.options import check_class_weights

_GUIDE = "guide"
"""Key of a checkpoint for the weights of the guide, which are none of the model's."""


class Guided(NamedTuple):
    """What the model says of a batch, and its guide."""

    own: LossInput
    guide: LossInput


class Taught(NamedTuple):
    """What the model says of a batch, and its teacher."""

    own: LossInput | Guided
    teacher: LossInput


class DetectionTask(VisionTask[DetectionSamples]):
    """Trains a :class:`Detector`; its metric is COCO AP.

    ``guide`` builds a second head on the same features (as
    :class:`~pocketvision.heads.assign_guide.AssignGuide`), of the loss's ``guided``: what it says assigns
    truths to the points of both heads. From epoch ``guide_detach_epoch`` on it no longer teaches the
    features. The model, its weights and its cost know nothing of it.

    For the first ``first_epochs`` epochs ``first_assigner`` takes the place of the loss's own: one that does
    not go by what an unlearned head says, as :class:`~pocketvision.losses.nearest_centers.ATSSAssigner` in
    TOOD (arXiv:2108.07755, sec. 3.2) and PicoDet.

    ``teacher`` is the run folder or weights file of a larger detector of the same classes and anchors, whose
    scores and distributions the head learns too, by ``distillation``.

    Raises:
        ValueError: as :class:`VisionTask`, a guide or a first assigner for a loss that takes none, a first
            assigner without its epochs or the other way round, or a teacher of something else.
        InputError: there is no teacher there.
    """

    metric: ClassVar[str] = "AP"
    model: Detector

    def __init__(
        self,
        model: Detector,
        *arguments: Any,
        guide: Callable[..., nn.Module] | None = None,
        guide_detach_epoch: int = 10,
        first_assigner: Assigner | None = None,
        first_epochs: int = 0,
        teacher: str | Path | None = None,
        distillation: Distillation = Distillation(),  # noqa: B008  # a value
        **options: Any,
    ) -> None:
        super().__init__(model, *arguments, **options)
        self.distillation = distillation
        self._teacher = () if teacher is None else (load_dense_teacher(teacher, model),)
        """In a tuple, so that its weights are none of the task's."""
        self.guide: nn.Module | None = None
        self.guide_detach_epoch = guide_detach_epoch
        self.first_assigner, self.first_epochs = first_assigner, first_epochs
        if (first_assigner is None) != (first_epochs == 0):
            raise ValueError("task.first_assigner and task.first_epochs go together: give both or neither.")
        if first_assigner is not None and not hasattr(self.loss, "assigner"):
            raise ValueError(f"a {type(self.loss).__name__} has no assigner: leave task.first_assigner out.")
        if guide is not None:
            if not hasattr(self.loss, "guided"):
                raise ValueError(f"a {type(self.loss).__name__} takes no guide: leave task.guide out.")
            info = model.backbone.feature_info
            self.guide = guide(
                feature_info=info,
                num_anchors=model.anchors.num_anchors(len(info)),
                num_outputs=model.num_outputs,
            )

    def check(self) -> None:
        model = self.model
        check_class_weights(self.loss, model.class_names)
        scores = getattr(self.loss, "score_function", model.score_function)
        if scores != model.score_function:
            raise ValueError(f"the loss is for {scores} scores, the model has {model.score_function} scores.")
        coder = getattr(self.loss, "coder", model.postprocess.coder)
        if coder != model.postprocess.coder:
            raise ValueError(
                f"the loss encodes with {coder}, the model decodes with {model.postprocess.coder}."
            )

    def outputs(self, images: Tensor) -> LossInput | Guided | Taught:
        images = images.to(memory_format=torch.channels_last)
        own = self._own_outputs(images)
        return Taught(own, _outputs_of_teacher(*self._teacher, images)) if self._teacher else own

    def _own_outputs(self, images: Tensor) -> LossInput | Guided:
        features = self.model.features(images)
        own = _learned(self.model.head(features), self.model.place_anchors(features, images))
        if self.guide is None:
            return own
        if self.current_epoch >= self.guide_detach_epoch:
            features = {name: x.detach() for name, x in features.items()}
        return Guided(own, _learned(self.guide(features), own.anchors))

    def losses_of(self, outputs: LossInput | Guided | Taught, targets: list[BoxTarget]) -> dict[str, Tensor]:
        if isinstance(outputs, Taught):
            own = outputs.own.own if isinstance(outputs.own, Guided) else outputs.own
            return self.losses_of(outputs.own, targets) | self.distillation(own, outputs.teacher)
        loss: Any = self.loss
        if self.current_epoch < self.first_epochs:
            loss = replace(loss, assigner=self.first_assigner)
        if isinstance(outputs, Guided):
            guided: dict[str, Tensor] = loss.guided(outputs.own, outputs.guide, targets)
            return guided
        losses: dict[str, Tensor] = loss(outputs, targets)
        return losses

    def counts_of(self, outputs: Any, targets: list[Any]) -> list[Tensor] | None:
        return None if self._teacher else super().counts_of(outputs, targets)

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = super().parameter_groups()
        guide = [] if self.guide is None else list(self.guide.parameters())
        return [*groups, {"params": guide, "lr_factor": 1.0}] if guide else groups

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.guide is not None:
            set_beside(checkpoint, _GUIDE)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        put_back(checkpoint, _GUIDE)


def load_dense_teacher(source: str | Path, student: Detector) -> Detector:
    """The detector of a run folder or weights file, which knows the student's classes at the same points.

    Raises:
        InputError: nothing is there, or it can't be read.
        ValueError: it is no such detector.
    """
    teacher = load_teacher(source, student)
    if {teacher.score_function, student.score_function} != {"sigmoid"}:
        raise ValueError(f"{source} can't teach: both must be detectors with sigmoid scores, as gfl_v2 has.")
    if _points_of(teacher) != _points_of(student):
        raise ValueError(
            f"the teacher {source} has other anchors, maps or distributions than the model: train both with "
            "the same head, anchors and strides."
        )
    return teacher


def _points_of(model: Detector) -> tuple[Any, ...]:
    """What says where points are and what their distances mean."""
    strides = [info.stride for info in model.backbone.feature_info.values()]
    return model.anchors, model.postprocess.coder, strides, getattr(model.head, "reg_max", None)


@torch.no_grad()
def _outputs_of_teacher(teacher: Detector, images: Tensor) -> LossInput:
    teacher.to(images.device).eval()
    teacher.head.training = True  # the head alone, not its layers: it says its distributions then
    features = teacher.features(images)
    return _learned(teacher.head(features), teacher.place_anchors(features, images))


def _learned(predicted: Sequence[Tensor], anchors: Tensor) -> LossInput:
    """What a head predicted, with its distributions if it has them."""
    class_logits, box_deltas, *distributions = predicted
    if not distributions:
        return DetectionOutput(class_logits, box_deltas, anchors)
    return DistributionOutput(class_logits, box_deltas, anchors, *distributions)
