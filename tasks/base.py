"""What detection and segmentation share: optimizer, learning rate, logging and validation."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pocketvision.core.errors import InputError
from pocketvision.models import VisionModel
from pocketvision.tasks.evaluation import Evaluator, make_evaluator

logger = logging.getLogger("pocketvision")

Schedule = Literal["cosine", "poly", "constant"]


class VisionTask(L.LightningModule):
    """Trains ``model`` with ``loss`` and scores it on the validation split.

    ``optimizer`` is a partial without parameters. Its learning rate is stated for batches of
    ``reference_batch`` images and scaled linearly to the real total batch; the backbone's is
    multiplied by ``backbone_lr_factor``. Norms and biases are not decayed. The rate rises linearly
    over ``warmup_steps`` (at most a tenth of the run), then follows ``schedule``: ``cosine`` to 0,
    ``poly`` with power 0.9 to 0, or ``constant``.

    Raises:
        ValueError: loss and model don't fit together, or an unknown schedule.
    """

    metric: ClassVar[str]

    def __init__(
        self,
        model: VisionModel,
        loss: Callable[..., dict[str, Tensor]],
        optimizer: Callable[..., Optimizer],
        reference_batch: int,
        warmup_steps: int = 0,
        schedule: Schedule = "cosine",
        backbone_lr_factor: float = 1.0,
    ) -> None:
        super().__init__()
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {schedule!r}: choose from {', '.join(get_args(Schedule))}.")
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.reference_batch = reference_batch
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.backbone_lr_factor = backbone_lr_factor
        self.evaluator: Evaluator | None = None
        self.check()

    def check(self) -> None:
        """Raise :class:`ValueError` where loss and model don't fit together."""

    @abstractmethod
    def losses(self, samples: Any) -> dict[str, Tensor]:
        """Named scalars of a training batch; their sum is minimised."""

    def on_fit_start(self) -> None:
        self.model.to(memory_format=torch.channels_last)

    def training_step(self, samples: Any, batch_index: int) -> Tensor:
        losses = self.losses(samples)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            images = ", ".join(str(target.image_id) for target in samples.targets)
            raise InputError(
                f"The loss is not finite at step {self.global_step} (images {images}): "
                "lower task.optimizer.lr, or check these images."
            )
        size = len(samples.targets)
        self.log_dict({f"train/{k}": v.detach() for k, v in losses.items()}, batch_size=size)
        self.log("train/loss", total.detach(), batch_size=size)
        groups = self.trainer.optimizers[0].param_groups
        self.log("lr", max(group["lr"] for group in groups), batch_size=size)
        return total

    def on_validation_epoch_start(self) -> None:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        self.evaluator = make_evaluator(self.model, data.records(data.val_split))

    def validation_step(self, samples: Any, batch_index: int) -> None:
        assert self.evaluator is not None
        self.evaluator.update(samples)

    def on_validation_epoch_end(self) -> None:
        assert self.evaluator is not None
        metrics = self.evaluator.compute()
        scalars = {f"val/{k}": v for k, v in metrics.items() if isinstance(v, float)}
        self.log_dict({f"val/{self.metric}": 0.0, **scalars})
        logger.info("epoch %d: %s %.4f", self.current_epoch + 1, self.metric, metrics[self.metric] or 0.0)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameter_groups())
        total_batch = self._total_batch()
        for group in optimizer.param_groups:
            group["lr"] *= group.pop("lr_factor") * total_batch / self.reference_batch
        num_steps = int(self.trainer.estimated_stepping_batches)
        warmup = min(self.warmup_steps, num_steps // 10)
        logger.info(
            "learning rate %.4g for a batch of %d (stated for %d), %d steps, %d of warm-up, then %s",
            max(group["lr"] for group in optimizer.param_groups),
            total_batch, self.reference_batch, num_steps, warmup, self.schedule,
        )  # fmt: skip
        scheduler = LambdaLR(optimizer, lambda step: lr_factor(step, num_steps, warmup, self.schedule))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters by whether they are decayed and whether they belong to the backbone."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                key = parameter.ndim > 1, name.startswith("backbone.") and ".extra_blocks." not in f".{name}"
                groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "lr_factor": self.backbone_lr_factor if in_backbone else 1.0,
                **({} if decayed else {"weight_decay": 0.0}),
            }
            for (decayed, in_backbone), parameters in groups.items()
        ]

    def _total_batch(self) -> int:
        trainer = self.trainer
        batch_size: int = trainer.datamodule.batch_size  # type: ignore[attr-defined]
        return batch_size * trainer.world_size * trainer.accumulate_grad_batches


def lr_factor(step: int, num_steps: int, warmup: int, schedule: Schedule) -> float:
    """Learning rate at ``step`` relative to the full one."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return (1 - progress) ** 0.9 if schedule == "poly" else 1.0
