"""Lightning's trainer with this project's loggers, checkpoints and rules for several processes."""

from __future__ import annotations

import csv
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch.utils.tensorboard.summary import hparams

from pocketvision.core.command import CONFIG_PREFIX
from pocketvision.core.config import Experiment, describe, flat
from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.tasks.base import AnyTask, VisionTask
from pocketvision.tasks.bottleneck import Bottleneck
from pocketvision.tasks.checkpoints import KeepBest, KeepLast, VerifiedCheckpoints
from pocketvision.tasks.ema import WeightAverage
from pocketvision.tasks.named_parts import as_list, further_callbacks, further_loggers
from pocketvision.tasks.progress_bar import ShowProgress
from pocketvision.tasks.stopping import Stopping
from pocketvision.tasks.synced_norms import SyncedNorms
from pocketvision.tasks.time_budget import TimeBudget

METRICS = "metrics.csv"

_FIXED = {
    "use_distributed_sampler": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class UnevenDDP(DDPStrategy):
    """DDP whose validation does not synchronize: processes may score different numbers of batches.

    Where a batch may leave out weights, as of one task of several, it looks for them.
    """

    def configure_ddp(self) -> None:
        task = self.lightning_module
        if isinstance(task, VisionTask) and not task.trains_all:
            self._ddp_kwargs["find_unused_parameters"] = True
        super().configure_ddp()

    def validation_step(self, *args: object, **kwargs: object) -> STEP_OUTPUT:
        assert self.lightning_module is not None
        return self.lightning_module.validation_step(*args, **kwargs)


def quiet_lightning() -> None:
    """Hide what Lightning says about itself and what does not concern this project's users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        "Checkpoint directory .* exists and is not empty",  # a run that goes on
        "You're resuming from a checkpoint that ended before the epoch",  # the data module knows where
        "Experiment logs directory",  # the run folder holds its config before the logger starts
        ".*isinstance.treespec, LeafSpec.*",  # between Lightning and torch
        "The '.*_dataloader' does not have many workers",  # this project chooses the number itself
        "`training_step` returned `None`",  # the task says which images it skips
        "Detected call of `lr_scheduler.step",  # follows from a skipped first step
        ".*module.* in eval mode at the start of training",  # frozen norms
        "It is recommended to use `self.log.*sync_dist=True",  # every process has counted all images
        ".*could not find the monitored key",  # a training that ends before its first scoring
    ):
        warnings.filterwarnings("ignore", message)


class LogHyperParameters(L.Callback):
    """Logs the values of an experiment by name, such as task.optimizer.lr, when a training starts.

    TensorBoard gets them with ``metric`` as the score to compare runs by, and the experiment as text.
    """

    def __init__(self, experiment: Experiment, metric: str) -> None:
        self.experiment, self.metric = experiment, metric

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {**flat(self.experiment), "model": name_of_model(self.experiment)}
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(values)
                continue
            writer = logger.experiment
            # Lightning's way would log a score of its own, -1, beside.
            for summary in hparams(values, {self.metric: 0}):  # type: ignore[no-untyped-call]
                writer._get_file_writer().add_summary(summary)
            indented = describe(self.experiment).replace("\n", "\n    ")
            writer.add_text("experiment", f"    {indented}")


def name_of_model(experiment: Experiment) -> str:
    """The config whose ``model`` it is."""
    function = getattr(experiment.model, "func", experiment.model)
    return str(function.__module__).rpartition(".")[2].removeprefix(CONFIG_PREFIX)


def make_trainer(
    experiment: Experiment,
    task: AnyTask,
    folder: Path,
    first_step: int = 0,
    stopping: Stopping | None = None,
    budget: TimeBudget | None = None,
) -> tuple[L.Trainer, KeepBest]:
    """A trainer that writes to ``folder``; a run that goes on keeps its metrics before ``first_step``.

    Loggers, callbacks and plugins of ``trainer`` come beside this project's own; ``logger`` False leaves
    them all out.

    Raises:
        InputError: the machine does not have what ``trainer`` asks for.
    """
    options = checked_options(experiment.trainer)
    options.pop("accumulate_grad_batches", None)  # the task splits larger batches itself
    if budget is not None:
        if _is_parallel(options):
            raise InputError("minutes is for one process: give trainer.max_steps instead for several.")
        task.place = budget.place
    best = KeepBest(folder / "checkpoints", f"val/{task.metric}")
    table = CSVLogger(folder, name="", version="")
    board = TensorBoardLogger(folder, name="", version="", purge_step=first_step or None)
    logger = options.pop("logger", None)
    norms = [SyncedNorms()] if options.pop("sync_batchnorm", False) else []
    defaults = {
        "default_root_dir": folder,
        "devices": 1,
        "logger": False if logger is False else [table, board, *further_loggers(logger, folder)],
        "callbacks": [
            *([best] if options.get("limit_val_batches") != 0 else []),
            *([] if task.ema_decay is None else [WeightAverage(task.ema_decay)]),
            *further_callbacks(options.pop("callbacks", None), f"val/{task.metric}"),
            *as_list(budget),
            # After the average's step.
            KeepLast(folder / "checkpoints", experiment.checkpoint_minutes, stopping),
            ShowProgress(),
            Bottleneck(),
            LogHyperParameters(experiment, f"val/{task.metric}"),
        ],
        "plugins": [VerifiedCheckpoints(), *norms, *as_list(options.pop("plugins", None))],
    }
    trainer = _lightning_trainer({**_FIXED, **defaults, **options})
    if trainer.is_global_zero and first_step and logger is not False:
        keep_metrics(table, folder / METRICS, first_step)
    return trainer, best


def checked_options(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's trainer options, with what "auto" means here.

    Raises:
        InputError: only a part of the validation images is to be scored, or nothing trained.
    """
    options = dict(trainer)
    for name in ("max_steps", "max_epochs", "limit_train_batches"):
        if options.get(name) == 0:
            raise InputError(f"trainer.{name} is 0: nothing would be trained; give more, or leave it out.")
    if options.get("precision", "auto") == "auto":
        options["precision"] = "16-mixed" if torch.cuda.is_available() else "32-true"
    if options.get("limit_val_batches", 1.0) not in (0, 1.0, None):
        raise InputError("trainer.limit_val_batches can be 1.0 or 0: a score of some images is not a score.")
    if options.get("strategy", "auto") == "auto" and _is_parallel(options):
        options["strategy"] = UnevenDDP()
    return options


def _lightning_trainer(options: Mapping[str, Any]) -> L.Trainer:
    try:
        return L.Trainer(**options)
    except MisconfigurationException as error:
        sentence = str(error).splitlines()[0]
        raise InputError(
            f"The trainer can't be made so: {sentence} Change trainer.accelerator or another trainer option."
        ) from error


def _is_parallel(options: Mapping[str, Any]) -> bool:
    devices, num_nodes = options.get("devices", 1), options.get("num_nodes", 1)
    return num_nodes != 1 or not (devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1))


def keep_metrics(table: CSVLogger, path: Path, first_step: int) -> None:
    """Let ``table`` append to the rows before ``first_step``; what a run wrote later is written again."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = list(reader.fieldnames or ())
        rows = [row for row in reader if (row.get("step") or "").isdigit() and int(row["step"]) < first_step]
    with replacing(path) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=names, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        table.experiment.metrics_keys = names  # Lightning's logger deletes the file when it starts
