"""Progress of a training: a bar in a terminal, else lines of text."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L

from pocketvision.core.progress import Progress


class ShowProgress(L.Callback):
    """Step, time left, images a second, epoch, loss and the last score."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            total, done = int(trainer.estimated_stepping_batches), trainer.global_step
            self.progress = Progress(
                "training", total, "steps", rate_unit="images", done=done, stream=sys.stdout
            ).open()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: Any, batch_idx: int
    ) -> None:
        if self.progress is None or trainer.global_step == self.progress.done:
            return
        note = f"epoch {trainer.current_epoch + 1}, loss {pl_module.last_loss:.3f}"
        score = trainer.callback_metrics.get(f"val/{pl_module.metric}")
        if score is not None:
            note += f", {pl_module.metric} {score:.3f}"
        self.progress.factor = len(batch.targets) * trainer.world_size
        self.progress.advance(trainer.global_step - self.progress.done, note)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.close()
            self.progress = None
