"""Progress of long work with rate and time left: a bar in a terminal while training, else lines of text."""

from __future__ import annotations

from typing import Any

import lightning as L
from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn

from pocketvision.core.progress import Ticker


class ShowProgress(L.Callback):
    """Epoch, step, loss, images a second, time left and the last score: a bar, or lines in a log."""

    def __init__(self) -> None:
        self.bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.ticker, self.first_step = Ticker(), trainer.global_step
        if trainer.is_global_zero and get_console().is_terminal:
            columns = (BarColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, console=get_console(), transient=True)
            self.bar.start()
            total = int(trainer.estimated_stepping_batches)
            self.task = self.bar.add_task("", total=total, completed=self.first_step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.global_step - self.first_step
        if not done or not (self.bar or self.ticker.is_due()):
            return
        total = int(trainer.estimated_stepping_batches) - self.first_step
        size = len(batch.targets) * trainer.world_size * trainer.accumulate_grad_batches
        line = self.ticker.describe(done, total, size, "images")
        text = f"epoch {trainer.current_epoch + 1}  step {line}  loss {pl_module.last_loss:.3f}"
        score = trainer.callback_metrics.get(f"val/{pl_module.metric}")
        if score is not None:
            text += f"  {pl_module.metric} {score:.3f}"
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.update(self.task, completed=trainer.global_step, description=text)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
