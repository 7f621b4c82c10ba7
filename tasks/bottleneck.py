"""Where the time of a training goes: to the data, to the device or to scoring."""

from __future__ import annotations

import logging
import time

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

logger = logging.getLogger("pocketvision")

REMEDIES = {
    "data": "more data.num_workers, a cache, or smaller images would speed it up",
    "device": "a smaller model or image_size, or a faster device would speed it up",
    "evaluation": "a higher trainer.check_val_every_n_epoch would speed it up",
}


class Bottleneck(L.Callback):
    """Measures what the training loop waits for, and says so at the end.

    ``data`` is the wait for a batch, ``device`` a step from its batch to the updated weights with what is
    written after it, ``evaluation`` the scoring while training. The loss is read in every step, so that
    the device has finished by then.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(REMEDIES, 0.0)
        self.last = 0.0

    def _count(self, kind: str) -> None:
        now = time.perf_counter()
        self.seconds[kind] += now - self.last
        self.last = now

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.last = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._count("data")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self._count("device")

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._count("device")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._count("evaluation")

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        logger.info(self.describe())

    def describe(self) -> str:
        """One line: the shares, and what to do about the largest."""
        total = sum(self.seconds.values()) or 1.0
        shares = ", ".join(f"{kind} {value / total:.0%}" for kind, value in self.seconds.items())
        largest = max(self.seconds, key=self.seconds.__getitem__)
        return f"time: {shares}. The bottleneck is the {largest}: {REMEDIES[largest]}."
