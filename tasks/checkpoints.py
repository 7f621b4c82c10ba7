"""Checkpoints that survive: written beside and moved, read back before they count, two of them kept."""

from __future__ import annotations

import errno
import io
import logging
import os
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from pocketvision.core.distributed import max_over_processes
from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.stopping import Stopping

logger = logging.getLogger("pocketvision")

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"


class VerifiedCheckpoints(CheckpointIO):
    """Writes under a temporary name, reads back, then moves; the last one becomes ``previous``."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Raises :class:`OSError` where the disk does not take it; the file that was there stays."""
        path = Path(path)
        content = io.BytesIO()  # torch's own writer hides what the disk says
        torch.save(checkpoint, content)
        with replacing(path) as temporary:
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            if not is_intact(temporary):
                raise OSError(errno.EIO, "what was written can't be read back", str(path))
            if path.name == LAST and path.is_file():
                path.replace(path.with_name(PREVIOUS))

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class KeepBest(ModelCheckpoint):
    """Keeps ``best.ckpt``. What a checkpoint says of it holds names only, no path.

    A run that was moved, renamed or copied knows its best score; a copy leaves the original alone.
    """

    def __init__(self, folder: Path, monitor: str) -> None:
        super().__init__(
            dirpath=folder, filename="best", monitor=monitor, mode="max", enable_version_counter=False
        )
        self.scored_step = -1
        """After which weights were scored the last time."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.scored_step = trainer.global_step
        super().on_validation_end(trainer, pl_module)

    @property
    def state_key(self) -> str:
        """As Lightning's own, which runs of version 0.1 have."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def state_dict(self) -> dict[str, Any]:
        return _with_paths(super().state_dict(), lambda path: Path(path).name) | {
            "dirpath": None,
            "scored_step": self.scored_step,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        folder = Path(self.dirpath)
        self.scored_step = state_dict.get("scored_step", -1)
        here = _with_paths(state_dict, lambda path: str(folder / PureWindowsPath(path).name))
        best = here["best_model_path"]
        if best and not is_intact(Path(best)):
            logger.warning("%s is missing or broken: the best weights are those from now on.", best)
            return
        super().load_state_dict(here | {"dirpath": self.dirpath})


def _with_paths(state: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """What Lightning keeps of the best checkpoint with every path in it changed."""
    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    changed = {name: state[name] and change(state[name]) for name in names}
    best = {change(path): score for path, score in state["best_k_models"].items()}
    return {**state, **changed, "best_k_models": best}


class KeepLast(Checkpoint):
    """Keeps ``last.ckpt``: at the start, every ``minutes``, after every epoch and before a stop.

    Lightning calls what is a ``Checkpoint`` after all else and in the order given: with this one behind
    the one for the best weights, what it keeps at the end of an epoch knows this epoch's score.

    The last step of an epoch is left to the epoch's end: a run that went on from there would skip the
    epoch's validation. While steps are skipped, there is nothing to go on from either.
    """

    def __init__(self, folder: Path, minutes: float, stopping: Stopping | None = None) -> None:
        self.file = folder / LAST
        self.seconds = 60 * minutes
        self.stopping = stopping or Stopping(str)
        self.saved_at = self.stepped_at = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step == 0:
            trainer.save_checkpoint(self.file)
        self.stopping.install()  # before Lightning's handlers, which hang where processes wait for each other
        self.stopping.is_patient = True
        self.stepped_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, VisionTask)
        now = time.monotonic()
        self.stopping.step_seconds, self.stepped_at = now - self.stepped_at, now
        done = batch_idx + 1
        is_last = done >= trainer.num_training_batches or trainer.global_step == trainer.max_steps
        if is_last or pl_module.num_skipped:
            return
        is_due = now - self.saved_at >= self.seconds
        vote = max_over_processes(self.stopping.number or int(is_due), pl_module.device)
        if vote:
            self._save(trainer)
        if vote > 1:  # no signal is 1 that is listened to
            self.stopping.stop(vote)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer)
        self._stop_if_told(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stopping.is_patient = False
        self._stop_if_told(pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A validation is given up: its epoch's last step is made again."""
        self.stopping.install()
        self.stopping.is_patient = False
        self._stop_if_told(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stopping.is_patient = trainer.state.fn == TrainerFn.FITTING
        self.stepped_at = time.monotonic()

    def _stop_if_told(self, module: L.LightningModule) -> None:
        number = max_over_processes(self.stopping.number, module.device)
        if number:
            self.stopping.stop(number)

    def _save(self, trainer: L.Trainer) -> None:
        for metrics in trainer.loggers:
            metrics.save()  # what is logged up to here belongs to the checkpoint
        try:
            with self.stopping.saving():
                trainer.save_checkpoint(self.file)
        except OSError as error:
            logger.warning(
                "No checkpoint at step %d: %s. Training goes on and the one before is kept; make room on "
                "the disk.", trainer.global_step, error,
            )  # fmt: skip
        self.saved_at = time.monotonic()


def is_intact(path: Path) -> bool:
    """Whether a checkpoint is complete: every part of it has its checksum."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:  # as bytes may have it
        if "DataLoader worker" in str(error):
            raise  # torch raises this wherever the process is when a worker ends
        return False


def step_of(path: Path) -> int:
    """The optimizer step that a checkpoint was written after.

    Raises:
        InputError: it holds what is no plain training state, such as code.
    """
    try:
        return int(torch.load(path, weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"{path} is no checkpoint of a training: it can't be gone on from. Take {PREVIOUS} in its place, "
            "or start again."
        ) from error


def newest_intact(folder: Path) -> Path:
    """The newest checkpoint in ``folder`` that can be read; says so where that is not the last one.

    Raises:
        InputError: there is none.
    """
    for name in (LAST, PREVIOUS):
        path = folder / name
        if is_intact(path):
            if name != LAST:
                logger.warning("%s is missing or broken: going on from %s.", folder / LAST, path)
            return path
    raise InputError(f"{folder} has no checkpoint that can be read: start again, in another --run-dir.")
