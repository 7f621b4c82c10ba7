"""What the tasks share: optimizer, learning rate, logging and validation."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import lightning as L
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pocketvision.core import layers
from pocketvision.core.config import parameters
from pocketvision.core.distributed import (
    any_process,
    mean_over_processes,
    merge_processes,
    process_index,
    share_buffers,
)
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import CountsTruth
from pocketvision.core.structures import AnySamples
from pocketvision.datasets.data_module import AnyData
from pocketvision.evaluation.evaluate import Evaluator, make_evaluator
from pocketvision.models import VisionModel
from pocketvision.tasks.accumulation import Trained, losses_in_parts, split_batch
from pocketvision.tasks.freezing import freeze_parts
from pocketvision.tasks.learning_rates import Schedule, lr_factor, parameter_groups
from pocketvision.tasks.lightning_data import LightningData, count_whole_batches, image_names
from pocketvision.tasks.options import check_options
from pocketvision.tasks.quantization_aware import make_quantization_aware

logger = logging.getLogger("pocketvision")

_Samples = TypeVar("_Samples", bound=AnySamples)

MAX_SKIPPED = 3
"""Steps in a row that a non-finite loss may cost before training goes back to its last checkpoint."""

FROZEN_NORMS = "frozen_norms"
"""Key of a checkpoint for the BatchNorm layers that keep their statistics."""


class NonFiniteLossError(InputError):
    """Training can't go on from these weights."""


class VisionTask(L.LightningModule, Generic[_Samples]):
    """Trains ``model`` with ``loss`` and scores it on the validation split.

    ``optimizer`` is a partial without parameters. Its learning rate is stated for batches of
    ``reference_batch`` images and scaled linearly to the real total batch; the backbone's is
    multiplied by ``backbone_lr_factor``. Norms and biases are not decayed, and with
    ``decay_depthwise`` False neither are depthwise convolutions (arXiv:1704.04861, sec. 3.2).

    The rate rises linearly over ``warmup_steps`` (at most a tenth of the run), then follows
    ``schedule``: ``cosine`` to 0, ``poly`` with power 0.9 to 0, ``step``, which multiplies it by
    ``decay_rate`` every ``decay_epochs`` epochs, or ``constant``.

    With ``ema_decay`` an exponential moving average of all weights and BatchNorm statistics is what
    is scored and saved (:class:`~pocketvision.tasks.ema.WeightAverage`).

    For transfer to few images: ``freeze_until`` names a feature of the backbone, as ``c3``, up to which
    nothing learns; ``freeze_norms`` keeps the backbone's BatchNorm statistics; ``layer_decay`` below 1
    multiplies the backbone's rate once more for every block below its last (arXiv:1801.06146, sec. 3.2).

    ``quantization_aware`` lets convolutions round weights and inputs as int8 does, for a last training before
    an int8 export (:func:`~pocketvision.tasks.quantization_aware.make_quantization_aware`).

    ``compiled`` runs backbone and head through ``torch.compile``: faster steps after minutes of waiting.

    Raises:
        ValueError: loss and model don't fit together, an unknown schedule or feature, or a value out of
            range.
    """

    metric: ClassVar[str]
    trains_all: ClassVar[bool] = True  # whether every batch teaches all weights

    def __init__(
        self,
        model: VisionModel,
        loss: Callable[..., dict[str, Tensor]],
        optimizer: Callable[..., Optimizer],
        reference_batch: int,
        warmup_steps: int = 0,
        schedule: Schedule = "cosine",
        backbone_lr_factor: float = 1.0,
        decay_rate: float = 1.0,
        decay_epochs: float = 1.0,
        decay_depthwise: bool = True,
        ema_decay: float | None = None,
        freeze_until: str | None = None,
        freeze_norms: bool = False,
        layer_decay: float = 1.0,
        quantization_aware: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        check_options(schedule, decay_rate, decay_epochs, ema_decay, layer_decay)
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.reference_batch = reference_batch
        self.warmup_steps = warmup_steps
        self.schedule = schedule
        self.backbone_lr_factor = backbone_lr_factor
        self.decay_rate, self.decay_epochs = decay_rate, decay_epochs
        self.decay_depthwise = decay_depthwise
        self.ema_decay = ema_decay
        self.layer_decay = layer_decay
        self.quantization_aware, self.compiled = quantization_aware, compiled
        self.evaluator: Evaluator | None = None
        self.lr_reduction = 1.0
        self.place: Callable[[int, int], float] = lambda step, num_steps: step
        """Where in a schedule of so many steps a step is."""
        self.last_loss = math.nan
        self.num_skipped = 0
        freeze_parts(self.model, freeze_until, norms=freeze_norms)
        if hasattr(self, "losses"):
            raise ValueError(
                "a task changes its loss in losses_of(outputs, targets): losses is never called."
            )
        self.check()

    @property
    def data_module(self) -> AnyData:
        """The data that the trainer was given."""
        data: LightningData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data.data

    def check(self) -> None:
        """Raise :class:`ValueError` where loss and model don't fit together."""

    def learner(self, samples: _Samples) -> Trained:
        """What learns from ``samples``: the task itself, unless it has several."""
        return self

    @abstractmethod
    def outputs(self, images: Tensor) -> Any:
        """What the model makes of images (N, 3, H, W), for the loss."""

    @abstractmethod
    def losses_of(self, outputs: Any, targets: list[Any]) -> dict[str, Tensor]:
        """Named scalars of outputs and truth; their sum is minimized."""

    def counts_of(self, outputs: Any, targets: list[Any]) -> list[Tensor] | None:
        """What :meth:`losses_of` normalizes by, if the loss says it; ``outputs`` may be of other images."""
        return self.loss.counts(outputs, targets) if isinstance(self.loss, CountsTruth) else None

    def logged(self) -> dict[str, float]:
        """What else is logged at every step, by its name."""
        return {}

    def train(self, mode: bool = True) -> VisionTask[_Samples]:
        super().train(mode)
        layers.settle_frozen_norms(self.model)
        return self

    def setup(self, stage: str) -> None:
        # Before DDP lays out its buckets: gradients of other strides are rounded otherwise.
        self.model.to(memory_format=torch.channels_last)
        if self.quantization_aware:
            make_quantization_aware(self.model)
        if self.compiled:
            for part in (self.model.backbone, self.model.head):
                assert isinstance(part, nn.Module)
                part.compile()  # in place: the names of the weights stay

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[FROZEN_NORMS] = [
            name for name, module in self.model.named_modules() if getattr(module, "is_frozen", False)
        ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name in checkpoint.get(FROZEN_NORMS, ()):
            self.model.get_submodule(name).is_frozen = True  # type: ignore[assignment]
        count_whole_batches(checkpoint, self.trainer.datamodule)  # type: ignore[attr-defined]

    def on_train_start(self) -> None:
        if self.lr_reduction != 1.0:
            scheduler = self.trainer.lr_scheduler_configs[0].scheduler
            scheduler.base_lrs = [rate * self.lr_reduction for rate in scheduler.base_lrs]
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] *= self.lr_reduction

    def on_train_batch_start(self, batch: _Samples, batch_idx: int) -> None:
        """Seed by the position in the run: dropout and the like are the same where a run goes on."""
        data = self.data_module
        key = (data.seed, self.current_epoch, batch_idx, process_index())
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, samples: _Samples, batch_index: int) -> Tensor | None:
        optimizer: Optimizer = self.trainer.optimizers[0]
        optimizer.zero_grad()
        parts = split_batch(samples, self.data_module.batch_size)
        learner = self.learner(samples)
        losses, last = losses_in_parts(learner, parts, lambda x: self.trainer.strategy.backward(x, None))
        total = torch.stack(list(losses.values())).sum()
        if any_process(not bool(torch.isfinite(total)), total.device):
            optimizer.zero_grad()
            self._skip(total, samples)
            return None
        self.num_skipped = 0
        names = [*(f"train/{name}" for name in losses), "train/loss"]
        values = mean_over_processes(torch.stack([*losses.values(), total])).tolist()
        self.last_loss = values[-1]
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        # Not self.log: it is slow, and writes after the step's checkpoint is made.
        row = dict(zip(names, values, strict=True), lr=rate, epoch=self.current_epoch, **self.logged())
        for table in self.loggers:
            table.log_metrics(row, step=self.global_step)
        return last

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Nothing: the gradients of a batch's first parts are there by now."""

    def _skip(self, total: Tensor, samples: _Samples) -> None:
        """Say which images a step was skipped for; raise where training can't go on so."""
        self.num_skipped += 1
        if not torch.isfinite(total):
            names = ", ".join(image_names(self.data_module, samples))
            logger.warning("step %d is skipped: its loss is not finite. Images: %s", self.global_step, names)
        broken = any(not torch.isfinite(x).all() for x in self.model.buffers() if x.is_floating_point())
        if any_process(broken, total.device) or self.num_skipped >= MAX_SKIPPED:
            raise NonFiniteLossError(f"The loss is not finite at step {self.global_step}")

    def on_validation_epoch_start(self) -> None:
        share_buffers(self.model)  # all must score the same weights; the average is in place by now
        data = self.data_module
        self.evaluator = make_evaluator(self.model, data.records(data.val_split))

    def validation_step(self, samples: _Samples, batch_index: int) -> None:
        assert self.evaluator is not None
        self.evaluator.update(samples)

    def on_validation_epoch_end(self) -> None:
        assert self.evaluator is not None
        merge_processes(self.evaluator.metric)
        metrics = self.evaluator.compute()
        scalars = {f"val/{k}": v for k, v in metrics.items() if isinstance(v, float)}
        self.log_dict({f"val/{self.metric}": 0.0, **scalars})
        is_training = self.trainer.state.fn == TrainerFn.FITTING  # else its end is scored: no epoch begins
        when = f"epoch {self.current_epoch + 1}" if is_training else f"after {self.global_step} steps"
        logger.info("%s: %s %.4f", when, self.metric, metrics[self.metric] or 0.0)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = self.optimizer(self.parameter_groups(), **self._unfused())
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
        decay_steps = self._decay_steps() if self.schedule == "step" else 1
        scheduler = LambdaLR(
            optimizer,
            lambda step: lr_factor(
                self.place(step, num_steps), num_steps, warmup, self.schedule, self.decay_rate, decay_steps
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for ``optimizer``, each with its ``lr_factor``."""
        return parameter_groups(
            self.model, self.backbone_lr_factor, self.layer_decay, decay_depthwise=self.decay_depthwise
        )

    def _unfused(self) -> dict[str, bool]:
        """Gradients can't be clipped where a fused optimizer unscales them itself, in fp16."""
        is_fused = parameters(self.optimizer).get("fused")
        clips = self.trainer.gradient_clip_val and self.trainer.precision == "16-mixed"
        return {"fused": False} if is_fused and clips else {}

    def _total_batch(self) -> int:
        data: LightningData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data.loader_batch_size * self.trainer.world_size

    def _decay_steps(self) -> int:
        """Optimizer steps between two decays of the ``step`` schedule."""
        self.trainer.fit_loop.setup_data()  # else the number of batches is unknown where max_steps is given
        return max(1, round(self.decay_epochs * self.trainer.num_training_batches))


AnyTask = VisionTask[Any]
"""Of whichever samples."""
