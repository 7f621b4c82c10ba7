"""Train an experiment into a run folder, then score its best weights."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.core.weights import load_state_dict, read_state_dict, save_weights
from pocketvision.datasets.data_module import AnyData
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.models import VisionModel
from pocketvision.runs.build import build, refusing_bad_values
from pocketvision.runs.folder import Run, check_free, check_trainer
from pocketvision.runs.passport import make_passport, training_facts
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.checkpoints import newest_intact
from pocketvision.tasks.curves import plot_curves
from pocketvision.tasks.lightning_data import LightningData
from pocketvision.tasks.recovery import Recovery
from pocketvision.tasks.trainer import METRICS, make_trainer, quiet_lightning

logger = logging.getLogger("pocketvision")


def fit(
    experiment: Experiment, folder: Path, config_files: Sequence[Path], overrides: Sequence[str]
) -> dict[str, Any] | None:
    """Train ``experiment`` into ``folder``, score the best weights on the validation split.

    Returns:
        The metrics that metrics.json holds; None in all but the first of several processes.

    Raises:
        InputError: the data, the config or the folder is not fit for it.
        StoppedError: SIGTERM or Ctrl-C ended it; :func:`resume` goes on.
    """
    start = time.perf_counter()
    quiet_lightning()
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # set on the function
    if is_first:
        check_free(folder, "--run-dir")
    check_trainer(experiment)
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=True)
    with refusing_bad_values():
        task: VisionTask = experiment.task(model=model)
        task.optimizer(task.parameter_groups())
        # Bad data and values are reported before a folder is made.
        data.records(data.val_split), data.eval_dataloader(data.val_split), data.train_dataloader()
        make_trainer(experiment, task, folder)
    if is_first:
        Run.create(folder, config_files, overrides, model.class_names)
    metrics = train(experiment, folder, model, data, None)
    logger.info("done in %.0f s", time.perf_counter() - start)
    return metrics


def resume(folder: Path) -> dict[str, Any] | None:
    """Go on with a run that was stopped, from its last checkpoint, as if nothing had happened.

    Raises:
        InputError: it is no run folder, is finished, or has no checkpoint that can be read.
        StoppedError: it was stopped again.
    """
    quiet_lightning()
    run = Run.open(folder)
    if (folder / "metrics.json").is_file():
        raise InputError(f"{folder} is finished: train on from its weights with --from {folder}.")
    checkpoint = newest_intact(folder / "checkpoints")
    experiment = run.load()
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=False)
    return train(experiment, folder, model, data, checkpoint)


def train(
    experiment: Experiment,
    folder: Path,
    model: VisionModel,
    data: AnyData,
    checkpoint: Path | None,
) -> dict[str, Any] | None:
    """Train from ``checkpoint`` or the beginning to the end, whatever comes between; then score."""
    recovery = Recovery(experiment, folder, checkpoint)
    while True:
        with refusing_bad_values():
            task = recovery.make_task(model)
            trainer, best = make_trainer(recovery.experiment, task, folder, recovery.first_step)
        try:
            trainer.fit(
                task, datamodule=LightningData(data), ckpt_path=recovery.checkpoint, weights_only=True
            )
            return finish(recovery.experiment, folder, model, data, trainer, task, best)
        except SystemExit as stop:  # Lightning's, for SIGTERM and Ctrl-C
            sentence = (
                f"Stopped at step {trainer.global_step}: go on with pocketvision train --resume {folder}"
            )
            raise StoppedError(sentence, 143 if isinstance(stop, SIGTERMException) else 130) from stop
        except Exception as error:
            try:
                recovery.recover(error, data)
            except Exception:
                if checkpoint is None and trainer.global_step == 0 and trainer.is_global_zero:
                    shutil.rmtree(folder)  # nothing was trained; the name is free again
                raise


def finish(
    experiment: Experiment, folder: Path, model: VisionModel, data: AnyData,
    trainer: L.Trainer, task: VisionTask, best: ModelCheckpoint,
) -> dict[str, Any] | None:  # fmt: skip
    """Write the best weights and score them, in the first process."""
    if best.best_model_path and not last_is_better(trainer, task, data, best):
        load_state_dict(model, read_state_dict(Path(best.best_model_path)), best.best_model_path)
    if not trainer.is_global_zero:
        return None
    facts = training_facts(model, experiment, data)
    weights, passport = folder / "weights.safetensors", make_passport(model, experiment, **facts)
    save_weights(weights, model, passport)
    if (folder / METRICS).is_file():
        plot_curves(folder / METRICS, folder / "curves.png")
    metrics = evaluate(model, data, data.val_split, folder, trainer.strategy.root_device)
    scores = {name: value for name, value in metrics.items() if name != "per_class"}
    save_weights(weights, model, {**passport, "metrics": scores})
    return metrics


def last_is_better(trainer: L.Trainer, task: VisionTask, data: AnyData, best: ModelCheckpoint) -> bool:
    """Score the last weights if their epoch was not scored; they become the best if they are."""
    epochs = trainer.check_val_every_n_epoch or 1
    if trainer.current_epoch % epochs == 0 or best.best_model_score is None:
        return False
    scores = trainer.validate(task, datamodule=LightningData(data), verbose=False)[0]
    if scores[f"val/{task.metric}"] <= float(best.best_model_score):
        return False
    trainer.save_checkpoint(best.best_model_path)
    return True
