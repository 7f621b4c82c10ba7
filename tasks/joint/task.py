"""Training a model of several tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from pocketvision.core.errors import InputError
from pocketvision.core.structures import (
    BOTH,
    AnySamples,
    MixedTaskSamples,
    TrainingSamples,
    task_of,
    task_of_target,
)
from pocketvision.datasets import JointDataModule
from pocketvision.evaluation.joint_evaluator import MEAN_SCORE
from pocketvision.models import JointModel
from pocketvision.tasks.base import AnyTask, VisionTask
from pocketvision.tasks.ema import put_back, set_beside
from pocketvision.tasks.freezing import body_module
from pocketvision.tasks.joint.balance import Rule, make_balance
from pocketvision.tasks.joint.mixed import MEASURED_EVERY, Mixed
from pocketvision.tasks.joint.moments import TaskMoments
from pocketvision.tasks.joint.norms import SharedNorms, check_norms
from pocketvision.tasks.joint.weighed import Together, Weighed
from pocketvision.tasks.learning_rates import parameter_groups

logger = logging.getLogger("pocketvision")
_BALANCE = "balance"
"""Key of a checkpoint for what the losses' weights are made of, which is none of the model's."""
_MOMENTS = "moments"
"""Key of a checkpoint for what the optimizer remembers of the tasks that have no turn."""


class JointTask(VisionTask[AnySamples]):
    """Trains a :class:`~pocketvision.models.joint.JointModel`; its metric is the mean of its tasks' metrics.

    ``tasks`` build the task of each part from its model, with its loss and all that is its own, as
    ``partial(DetectionTask, loss=SSDLoss())``. A batch of one task teaches that part and the shared
    backbone, one of images that carry boxes and masks (``both`` in ``data.shares``) two parts at once, and
    one of ``data.mixed`` all parts, each by its images. Losses count ``loss_weights`` times (1 where a task
    is not named) and, if ``balance`` says so, a factor that ``uncertainty`` learns or ``gradient_norm``
    measures on batches of one task or mixed ones (:mod:`~pocketvision.tasks.joint.balance`). With the balance
    ``moments`` the optimizer remembers each task's gradients by themselves
    (:class:`~pocketvision.tasks.joint.moments.TaskMoments`). What losses count is logged at every step.

    The optimizer, its rate, averaging and freezing are this task's, as for every :class:`VisionTask`; a head
    named in ``lr_factors`` has so many times the rate.

    BatchNorms of the backbone normalize a batch, of one task's images if not mixed, by itself, but what is
    scored and exported by running statistics: of all images, or of those of the task ``norms_of``
    (:class:`~pocketvision.tasks.joint.norms.SharedNorms`). From the share ``norms_until`` of the training on
    these are kept and used, so that the weights learn to do with them; ``freeze_norms`` keeps those that
    training began with.

    Raises:
        ValueError: tasks or weights are not those of the model's parts, or a task learns more than its head.
    """

    metric: ClassVar[str] = MEAN_SCORE
    trains_all: ClassVar[bool] = False
    model: JointModel
    mixed: Mixed | None = None
    """What learns from the batch that is trained on, if it is mixed."""
    _is_measured = False  # not before training: others time its steps

    def __init__(
        self,
        model: JointModel,
        tasks: Mapping[str, Callable[..., AnyTask]],
        optimizer: Callable[..., Optimizer],
        reference_batch: int,
        loss_weights: Mapping[str, float] | None = None,
        lr_factors: Mapping[str, float] | None = None,
        balance: Rule = "fixed",
        norms_of: str | None = None,
        norms_until: float = 1.0,
        **options: Any,
    ) -> None:
        check_norms(norms_of, norms_until, model.tasks)
        weights = {**dict.fromkeys(model.tasks, 1.0), **(loss_weights or {})}
        if tuple(tasks) != model.tasks or tuple(weights) != model.tasks or min(weights.values()) <= 0:
            known = ", ".join(model.tasks)
            raise ValueError(
                f"the model is for {known}: give task.tasks for each of them, in this order, and "
                "task.loss_weights, if any, above 0 for no others."
            )
        self.lr_factors = dict(lr_factors or {})
        if unknown := self.lr_factors.keys() - weights.keys():
            raise ValueError(f"task.lr_factors names {min(unknown)}: the model is for {', '.join(weights)}.")
        super().__init__(model, _no_loss, optimizer, reference_batch, **options)
        if self.compiled or self.quantization_aware:
            raise ValueError("task.compiled and task.quantization_aware are for models of one task yet.")
        self.loss_weights, self.rule, self.norms_until = weights, balance, norms_until
        self.balance, self.norms_of = make_balance(balance, weights), norms_of
        shared = cast(nn.Module, model.backbone)
        self.moments = TaskMoments(dict(shared.named_parameters())) if balance == "moments" else None
        self.turn = model.tasks[0]
        """What the batch that is trained on teaches, in the words of ``task_of``."""
        self.parts: dict[str, AnyTask] = {}
        """In a dict, so that their weights, which are the model's, have one name."""
        for name, part in tasks.items():
            own = part(model=model.part(name), optimizer=optimizer, reference_batch=reference_batch)
            if len(list(own.parameters())) > len(list(own.model.parameters())):
                raise ValueError(f"the task for {name} learns more than its head, as a guide: leave it out.")
            self.parts[name] = own

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._check_turns()
        for part in self.parts.values():
            part.trainer = self.trainer
        logger.info("losses count, %s: %s", self.rule, self._said())

    def _check_turns(self) -> None:
        data = self.data_module
        if not isinstance(data, JointDataModule):
            return
        for option, needs in (("balance=moments", self.rule == "moments"), ("norms_of", self.norms_of)):
            if data.mixed and needs:
                raise InputError(f"task.{option} is for batches of one task: leave it or data.mixed out.")
        if self.rule != "gradient_norm":
            return
        if never := [task for task in self.parts if task not in data.shares]:
            raise InputError(
                f"task.balance=gradient_norm measures batches of one task: give {never[0]} a share in "
                "data.shares beside both, or choose another balance."
            )

    def on_train_start(self) -> None:
        super().on_train_start()
        self._is_measured = self.rule == "gradient_norm"
        self.norms = SharedNorms(body_module(self.model), self.norms_of)
        if (sentence := self.norms.lag(self._num_moving())) is not None:
            logger.warning(sentence)

    def _num_moving(self) -> float:
        """Batches that move the backbone's statistics."""
        num_batches, data = self.norms_until * int(self.trainer.estimated_stepping_batches), self.data_module
        if self.norms_of is None or not isinstance(data, JointDataModule):
            return num_batches
        own = data.shares.get(self.norms_of, 0.0) + data.shares.get(BOTH, 0.0)
        return num_batches * own / sum(data.shares.values())

    def on_train_batch_start(self, batch: AnySamples, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self.norms.turn(task_of(batch))
        num_steps = int(self.trainer.estimated_stepping_batches)
        if self.place(self.global_step, num_steps) >= self.norms_until * num_steps:
            self.norms.keep()

    def on_train_end(self) -> None:
        self.norms.turn(BOTH)
        super().on_train_end()

    def learner(self, samples: TrainingSamples) -> Weighed | Together | Mixed:
        self.turn = task_of(samples)
        if self.turn == BOTH:
            return Together(self._weighed("detection"), self._weighed("segmentation"), self.model)
        if isinstance(samples, MixedTaskSamples):
            parts = {task: self._weighed(task) for task in self.parts}
            tasks = [task_of_target(target) for target in samples.targets]
            measures = self._is_measured and self.global_step % MEASURED_EVERY == 0
            self.mixed = Mixed(parts, tasks, self.model, measures, self._loss_scale() if measures else 1.0)
            return self.mixed
        return self._weighed(self.turn)

    def _weighed(self, task: str) -> Weighed:
        return Weighed(self.parts[task], task, self.balance, self.model)

    def logged(self) -> dict[str, float]:
        return {f"train/weight/{task}": weight for task, weight in self.balance.weights().items()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """The gradient of the whole batch, of all processes, is there, and not clipped yet."""
        if self.moments is not None:
            self.moments.give(optimizer, self.turn)
        if self.mixed is not None:
            self.balance.learn(self.mixed.norms(), MEASURED_EVERY)
            self.mixed = None
        if self.rule == "gradient_norm" and self.turn in self.parts:
            shared = cast(nn.Module, self.model.backbone)
            grads = [parameter.grad for parameter in shared.parameters() if parameter.grad is not None]
            # A fused optimizer divides them by the scale itself, in its step.
            is_scaled = getattr(optimizer, "_step_supports_amp_scaling", False)
            norm = nn.utils.get_total_norm(grads) / (self._loss_scale() if is_scaled else 1.0)
            self.balance.learn({self.turn: norm})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        set_beside(checkpoint, _BALANCE)
        if self.moments is not None:
            checkpoint[_MOMENTS] = self.moments.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        put_back(checkpoint, _BALANCE)
        if self.moments is not None:
            self.moments.load_state_dict(checkpoint[_MOMENTS])
        super().on_load_checkpoint(checkpoint)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        if self.rule in ("uncertainty", "gradient_norm"):
            logger.info("losses count, %s: %s", self.rule, self._said())

    def _said(self) -> str:
        return ", ".join(f"{task} {weight:.3g}" for task, weight in self.balance.weights().items())

    def _loss_scale(self) -> float:
        """What losses are multiplied by in fp16."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())

    def parameter_groups(self) -> list[dict[str, Any]]:
        heads: dict[Tensor, float] = {
            parameter: factor
            for name, factor in self.lr_factors.items()
            for parameter in self.model.part(name).parameters()
        }
        groups = parameter_groups(
            self.model, self.backbone_lr_factor, self.layer_decay,
            decay_depthwise=self.decay_depthwise, head_factors=heads,
        )  # fmt: skip
        own = list(self.balance.parameters())
        return [*groups, {"params": own, "lr_factor": 1.0, "weight_decay": 0.0}] if own else groups

    def outputs(self, images: Tensor) -> Any:
        return self.model(images)

    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        raise TypeError("a model of several tasks learns by its parts: see learner().")


def _no_loss(*_: Any) -> dict[str, Tensor]:
    raise TypeError("each task has its own loss.")
