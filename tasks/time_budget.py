"""A training that ends in time: its schedule follows the time that is left, not a number of steps."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning as L

logger = logging.getLogger("pocketvision")

_REMEMBERED, _PLANNED = 20, 5
"""Steps that the time of a step is averaged over, and at first how many as planned count with them."""


class TimeBudget(L.Callback):
    """Ends training after ``seconds``, of which ``spent`` are over already, with its schedule at its end.

    A schedule of N steps is passed through in steps of 1 while there is time for all that are left. Where
    there is not, each step goes further: by the steps that are left divided by those that there is time
    for, as the last ones took it. Time is counted over interruptions; a checkpoint knows what was spent
    and where in the schedule it is.
    """

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self.position, self.step = 0.0, 0
        self._spent, self._since = spent, time.monotonic()
        self._took: list[float] = []
        """Seconds of the last steps."""
        self._scoring_seconds = 0.0
        self._stepped_at: float | None = None
        self._validating_since = 0.0
        self._is_over = False

    @property
    def spent(self) -> float:
        """Seconds of training until now."""
        return self._spent + time.monotonic() - self._since

    def place(self, step: int, num_steps: int) -> float:
        """Where in a schedule of ``num_steps`` the optimizer's step ``step`` is."""
        if step > self.step:
            possible = max(1.0, (self.seconds - self.spent) / self._step_seconds(num_steps))
            stride = max(1.0, (num_steps - self.position) / possible)
            self.position = min(float(num_steps), self.position + stride * (step - self.step))
            self.step = step
            self._is_over = self.position >= num_steps
        return self.position if step == self.step else float(step)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stepped_at = None
        self._end_if_over(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        now = time.monotonic()
        if self._stepped_at is not None:
            took = now - self._stepped_at + self._scorings_a_step(trainer)
            self._took = [*self._took, took][-_REMEMBERED:]
        self._stepped_at = now
        next_step = sum(self._took) / len(self._took) if len(self._took) >= _PLANNED else 0.0
        self._is_over = self._is_over or self.spent + next_step > self.seconds
        self._end_if_over(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validating_since = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.monotonic()
        self._scoring_seconds = now - self._validating_since
        if self._stepped_at is not None:
            self._stepped_at += self._scoring_seconds

    def state_dict(self) -> dict[str, Any]:
        return {
            "spent": self.spent, "position": self.position, "step": self.step, "is_over": self._is_over,
            "took": list(self._took), "scoring_seconds": self._scoring_seconds,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._spent, self._since = max(self.spent, state_dict["spent"]), time.monotonic()
        self.position, self.step = state_dict["position"], state_dict["step"]
        self._is_over = state_dict["is_over"]
        self._took = list(state_dict["took"])
        self._scoring_seconds = state_dict["scoring_seconds"]

    def _step_seconds(self, num_steps: int) -> float:
        """What a step takes: the mean of the last ones, and of some as planned while there are few."""
        num_planned = min(_PLANNED, _REMEMBERED - len(self._took))
        planned = num_planned * self.seconds / num_steps
        return (planned + sum(self._took)) / (num_planned + len(self._took))

    def _scorings_a_step(self, trainer: L.Trainer) -> float:
        """A step's share of the next scoring while training."""
        epochs = trainer.check_val_every_n_epoch or 1
        steps_per_epoch = max(1.0, trainer.num_training_batches / trainer.accumulate_grad_batches)
        return self._scoring_seconds / (epochs * steps_per_epoch)

    def _end_if_over(self, trainer: L.Trainer) -> None:
        """The end of training as Lightning knows it: the last step is this one."""
        loop = trainer.fit_loop.epoch_loop
        if self._is_over and loop.max_steps != trainer.global_step:
            loop.max_steps = trainer.global_step
            logger.info("The time is over after %d steps.", trainer.global_step)
