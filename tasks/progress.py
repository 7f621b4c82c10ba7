"""Progress of long work as lines of text with rate and time left, readable in a terminal and in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import lightning as L

SECONDS_BETWEEN_LINES = 10.0

Item = TypeVar("Item")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Ticker:
    """Says when the next line is due, and words rate and time left."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()

    def is_due(self) -> bool:
        if time.perf_counter() - self.last < SECONDS_BETWEEN_LINES:
            return False
        self.last = time.perf_counter()
        return True

    def describe(self, done: int, total: int, size: float, unit: str) -> str:
        seconds = time.perf_counter() - self.start
        left = seconds / done * (total - done)
        return f"{done}/{total}  {done * size / seconds:.1f} {unit}/s  {_clock(left)} left"


def progress(batches: Iterable[Item], title: str) -> Iterator[Item]:
    """Iterate over a sized loader of batches and print a line every ten seconds."""
    total, ticker = len(batches), Ticker()  # type: ignore[arg-type]
    for done, batch in enumerate(batches, start=1):
        yield batch
        if ticker.is_due():
            print(f"{title}: batch {ticker.describe(done, total, 1, 'batches')}", flush=True)


class ProgressLines(L.Callback):
    """Prints epoch, step, loss, images a second and the time left while training."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.ticker, self.first_step = Ticker(), trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.global_step - self.first_step
        if not done or not self.ticker.is_due():
            return
        total = int(trainer.estimated_stepping_batches) - self.first_step
        size = len(batch.targets) * trainer.world_size * trainer.accumulate_grad_batches
        line = self.ticker.describe(done, total, size, "images")
        print(f"epoch {trainer.current_epoch + 1}  step {line}  loss {pl_module.last_loss:.3f}", flush=True)
