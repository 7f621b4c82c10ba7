"""Train an experiment into a run folder, then score its best weights."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.weights import load_state_dict, read_state_dict, save_weights
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.build import build
from pocketvision.tasks.curves import plot_curves
from pocketvision.tasks.evaluation import evaluate
from pocketvision.tasks.progress import ProgressLines
from pocketvision.tasks.run import Run

logger = logging.getLogger("pocketvision")


def fit(
    experiment: Experiment, folder: Path, config_files: Sequence[Path], overrides: Sequence[str]
) -> dict[str, Any]:
    """Train ``experiment`` into ``folder``, score the best weights on the validation split.

    Returns:
        The metrics that metrics.json holds.

    Raises:
        InputError: the data, the config or the folder is not fit for it.
    """
    start = time.perf_counter()
    quiet_lightning()
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=True)
    task: VisionTask = experiment.task(model=model)
    data.records(data.val_split), data.train_dataloader()  # bad data is reported before a folder is made
    trainer, best = make_trainer(experiment, task, folder)
    run = Run.create(folder, config_files, overrides, model.class_names)
    trainer.fit(task, datamodule=data)
    logger.info("trained for %.0f s", time.perf_counter() - start)

    if best.best_model_path:
        state = read_state_dict(Path(best.best_model_path))
        load_state_dict(model, state, best.best_model_path)
    metrics = evaluate(model, data, data.val_split, folder, trainer.strategy.root_device)
    passport = {**model.passport(), "metrics": {k: v for k, v in metrics.items() if k != "per_class"}}
    save_weights(run.folder / "weights.safetensors", model, passport)
    plot_curves(folder / "metrics.csv", folder / "curves.png")
    return metrics


def quiet_lightning() -> None:
    """Hide what Lightning says about itself and what does not concern this project's users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        "Experiment logs directory",  # the run folder holds its config before the logger starts
        ".*isinstance.treespec, LeafSpec.*",  # between Lightning and torch
        "The '.*_dataloader' does not have many workers",  # this project chooses the number itself
    ):
        warnings.filterwarnings("ignore", message)


def make_trainer(experiment: Experiment, task: VisionTask, folder: Path) -> tuple[L.Trainer, ModelCheckpoint]:
    """Lightning's trainer with this project's loggers and checkpoints.

    Raises:
        InputError: the machine does not have what ``trainer`` asks for.
    """
    options = dict(experiment.trainer)
    if options.get("precision", "auto") == "auto":
        options["precision"] = "16-mixed" if torch.cuda.is_available() else "32-true"
    is_scored = options.get("limit_val_batches", 1.0) != 0
    best = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor=f"val/{task.metric}" if is_scored else None,
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    try:
        trainer = L.Trainer(
            **{
                "default_root_dir": folder,
                "logger": [
                    CSVLogger(folder, name="", version=""),
                    TensorBoardLogger(folder, name="", version=""),
                ],
                "callbacks": [best, ProgressLines()],
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 1,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                **options,
            }
        )
    except MisconfigurationException as error:
        raise InputError(
            f"trainer: {str(error).splitlines()[0]} Change trainer.accelerator or devices."
        ) from error
    return trainer, best
