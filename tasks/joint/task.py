"""Training a model of several tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from pocketvision.core.errors import InputError
from pocketvision.core.structures import AnySamples, task_of
from pocketvision.evaluation.joint_evaluator import MEAN_SCORE
from pocketvision.models import JointModel
from pocketvision.tasks.base import AnyTask, VisionTask
from pocketvision.tasks.joint.weighed import Weighed
from pocketvision.tasks.learning_rates import parameter_groups

logger = logging.getLogger("pocketvision")


class JointTask(VisionTask[AnySamples]):
    """Trains a :class:`~pocketvision.models.joint.JointModel`; its metric is the mean of its tasks' metrics.

    ``tasks`` build the task of each part from its model, with its loss and all that is its own, as
    ``partial(DetectionTask, loss=SSDLoss())``. A batch is of one task: it teaches that part and the shared
    backbone. Its losses count ``loss_weights`` times (1 where a task is not named): fixed, and logged.

    The optimizer, its rate, averaging and freezing are this task's, as for every :class:`VisionTask`.
    BatchNorms of the backbone see each task's images in turn, and their running statistics are of all;
    ``freeze_norms`` keeps those that training started from.

    Raises:
        ValueError: tasks or weights are not those of the model's parts, or a task learns more than its head.
    """

    metric: ClassVar[str] = MEAN_SCORE
    model: JointModel

    def __init__(
        self,
        model: JointModel,
        tasks: Mapping[str, Callable[..., AnyTask]],
        optimizer: Callable[..., Optimizer],
        reference_batch: int,
        loss_weights: Mapping[str, float] | None = None,
        lr_factors: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        weights = {**dict.fromkeys(model.tasks, 1.0), **(loss_weights or {})}
        if tuple(tasks) != model.tasks or tuple(weights) != model.tasks or min(weights.values()) <= 0:
            known = ", ".join(model.tasks)
            raise ValueError(
                f"the model is for {known}: give task.tasks for each of them, in this order, and "
                "task.loss_weights, if any, above 0 for no others."
            )
        self.lr_factors = dict(lr_factors or {})
        super().__init__(model, _no_loss, optimizer, reference_batch, **options)
        if self.compiled or self.quantization_aware:
            raise ValueError("task.compiled and task.quantization_aware are for models of one task yet.")
        self.loss_weights = weights
        self.parts: dict[str, AnyTask] = {}
        """In a dict, so that their weights, which are the model's, have one name."""
        for name, part in tasks.items():
            own = part(model=model.part(name), optimizer=optimizer, reference_batch=reference_batch)
            if len(list(own.parameters())) > len(list(own.model.parameters())):
                raise ValueError(f"the task for {name} learns more than its head, as a guide: leave it out.")
            self.parts[name] = own

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.trainer.world_size > 1:
            raise InputError("Data sets of several tasks train in one process yet: set trainer.devices to 1.")
        for part in self.parts.values():
            part.trainer = self.trainer
        said = ", ".join(f"{name} {weight:g}" for name, weight in self.loss_weights.items())
        logger.info("losses count, fixed: %s", said)

    def learner(self, samples: AnySamples) -> Weighed:
        name = task_of(samples)
        return Weighed(self.parts[name], name, self.loss_weights[name], self.model)

    def parameter_groups(self) -> list[dict[str, Any]]:
        heads: dict[Tensor, float] = {
            parameter: factor
            for name, factor in self.lr_factors.items()
            for parameter in self.model.part(name).parameters()
        }
        return parameter_groups(
            self.model, self.backbone_lr_factor, self.layer_decay,
            decay_depthwise=self.decay_depthwise, head_factors=heads,
        )  # fmt: skip

    def outputs(self, images: Tensor) -> Any:
        return self.model(images)

    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        raise TypeError("a model of several tasks learns from batches of one: see learner().")


def _no_loss(*_: Any) -> dict[str, Tensor]:
    raise TypeError("each task has its own loss.")
