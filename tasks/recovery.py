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
from pocketvision.datasets.joint import JointDataModule
from pocketvision.models import VisionModel
from pocketvision.runs.folder import Run
from pocketvision.tasks.accumulation import num_accumulated
from pocketvision.tasks.base import AnyTask, NonFiniteLossError
from pocketvision.tasks.checkpoints import newest_intact, step_of
from pocketvision.tasks.fingerprint import accept_settings

logger = logging.getLogger("pocketvision")

MAX_RECOVERIES = 3
"""Without a new checkpoint in between."""


class Recovery:
    """The state of a training between two attempts.

    A loss that stays non-finite: back to the last checkpoint with half the learning rate. Out of memory:
    the batch goes through the model in twice as many parts, which is the same training but for what
    BatchNorm sees at once. A data worker that died: the same again. Anything else, or the same trouble
    ``MAX_RECOVERIES`` times from one checkpoint, ends the training.
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
            happened, remedy = "The device is out of memory", "with each batch in smaller parts"
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
            self._halve_parts(data)
        logger.warning("%s: going on from step %d %s.", happened.rstrip("."), self.first_step, remedy)

    def _go_on_from(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.first_step = step_of(checkpoint)
        self.lr_reduction = 1.0

    def _halve_parts(self, data: AnyData) -> None:
        """Twice the parts; three halves of an odd number can't be: then one image a part."""
        factor = 2 if data.batch_size % 2 == 0 else data.batch_size
        if isinstance(data, JointDataModule) and not data.divides(factor):
            raise InputError(
                f"The device is out of memory, and a mixed batch of {data.batch_size} images has no parts of "
                "the same shares: lower data.batch_size, and start again."
            )
        data.batch_size //= factor
        accumulated = num_accumulated(self.experiment.trainer) * factor
        options = {**self.experiment.trainer, "accumulate_grad_batches": accumulated}
        self.experiment = replace(self.experiment, trainer=options)
        run = Run.open(self.folder)
        run.add_overrides(
            [f"data.batch_size={data.batch_size}", f"trainer.accumulate_grad_batches={accumulated}"]
        )
        accept_settings(run)
