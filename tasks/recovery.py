"""What a training does when something breaks: it goes on from its last checkpoint, or says why it can't."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from pocketvision.core.config import Experiment
from pocketvision.core.distributed import num_processes
from pocketvision.core.errors import InputError
from pocketvision.core.processes import describe_lost_process
from pocketvision.datasets.data_module import AnyData
from pocketvision.models import VisionModel
from pocketvision.runs.folder import Run
from pocketvision.tasks.base import AnyTask, NonFiniteLossError
from pocketvision.tasks.checkpoints import VerifiedCheckpoints, newest_intact, step_of
from pocketvision.tasks.fingerprint import accept_settings

logger = logging.getLogger("pocketvision")

MAX_RECOVERIES = 3
"""Without a new checkpoint in between."""


class Recovery:
    """The state of a training between two attempts.

    A loss that stays non-finite: back to the last checkpoint with half the learning rate. Out of
    memory: half the batch, twice the accumulated gradients, which is the same training. A data worker
    that died: the same again. Anything else, or the same trouble ``MAX_RECOVERIES`` times from one
    checkpoint, ends the training.
    """

    def __init__(self, experiment: Experiment, folder: Path, checkpoint: Path | None) -> None:
        self.experiment = experiment
        self.folder = folder
        self.lr_reduction = 1.0
        self.attempts = 0
        self.checkpoint: Path | None = None
        self.first_step = 0
        if checkpoint is not None:
            self._go_on_from(checkpoint)

    def make_task(self, model: VisionModel) -> AnyTask:
        """A new task for ``model``, with the learning rate that this attempt is for."""
        task: AnyTask = self.experiment.task(model=model)
        task.lr_reduction = self.lr_reduction
        return task

    def recover(self, error: Exception, data: AnyData) -> None:
        """Prepare the next attempt, or raise ``error`` or a sentence that explains it."""
        lost = describe_lost_process(error)
        if lost is not None:
            raise InputError(lost) from error
        if num_processes() > 1 and not isinstance(error, NonFiniteLossError):
            raise error  # the other processes don't know
        if isinstance(error, NonFiniteLossError):
            happened, remedy = str(error), "with half the learning rate"
        elif isinstance(error, torch.OutOfMemoryError) and data.batch_size > 1:
            happened, remedy = "The device is out of memory", "with half the batch and twice the accumulation"
        elif "DataLoader worker" in str(error) and isinstance(error, RuntimeError):
            happened, remedy = "A process that loads data died", "with new ones"
        else:
            raise error
        before = self.first_step if self.checkpoint else -1
        self._go_on_from(newest_intact(self.folder / "checkpoints"))
        self.attempts = self.attempts + 1 if self.first_step == before else 1
        if self.attempts > MAX_RECOVERIES:
            raise InputError(
                f"{happened}, {self.attempts} times from step {self.first_step}: lower task.optimizer.lr, "
                "data.batch_size or data.num_workers, or make /dev/shm larger, then start again. "
                f"({error})"
            ) from error
        if isinstance(error, NonFiniteLossError):
            self.lr_reduction = 0.5**self.attempts
        elif isinstance(error, torch.OutOfMemoryError):
            self._halve_batch(data)
        logger.warning("%s: going on from step %d %s.", happened.rstrip("."), self.first_step, remedy)

    def _go_on_from(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.first_step = step_of(checkpoint)
        self.lr_reduction = 1.0

    def _halve_batch(self, data: AnyData) -> None:
        assert self.checkpoint is not None
        factor = 2 if data.batch_size % 2 == 0 else data.batch_size
        data.batch_size //= factor
        accumulated = self.experiment.trainer.get("accumulate_grad_batches", 1) * factor
        options = {**self.experiment.trainer, "accumulate_grad_batches": accumulated}
        self.experiment = replace(self.experiment, trainer=options)
        run = Run.open(self.folder)
        run.add_overrides(
            [f"data.batch_size={data.batch_size}", f"trainer.accumulate_grad_batches={accumulated}"]
        )
        accept_settings(run)
        rescale_progress(self.checkpoint, factor)


def rescale_progress(checkpoint: Path, factor: int) -> None:
    """Count the batches of a checkpoint in batches of a ``factor``-th of the size."""
    files = VerifiedCheckpoints()
    content = files.load_checkpoint(checkpoint)
    progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        unfinished = counts["processed"] - counts["completed"]
        counts.update({name: count * factor for name, count in counts.items()})
        counts["completed"] = counts["processed"] - unfinished
    files.save_checkpoint(content, checkpoint)
