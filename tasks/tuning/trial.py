"""A trial is an ordinary run; its scores go to Optuna, which may end it early."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from pocketvision.core.files import read_json
from pocketvision.datasets.data_module import AnyData
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.checkpoints import LAST, PREVIOUS, is_intact
from pocketvision.tasks.fit import fit, is_finished, resume
from pocketvision.tasks.named_parts import with_callbacks
from pocketvision.tasks.tuning.plan import SweepPlan

if TYPE_CHECKING:
    from optuna import Trial

logger = logging.getLogger("pocketvision")

METRIC = "metric"
"""What a trial knows the name of its score by."""


class ReportScores(L.Callback):
    """Tells a trial each score on the validation split, and ends a training that Optuna finds poor.

    It ends before the next step, when the checkpoint of what was scored is written: ``train --resume`` goes
    on from there. A training whose loss was not finite ends too, as it would go on with another rate.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.is_poor = False

    def __repr__(self) -> str:
        return "ReportScores()"  # what a run logs of its callbacks

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, VisionTask)
        self.trial.set_user_attr(METRIC, pl_module.metric)
        self.is_poor = pl_module.lr_reduction != 1.0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        score = float(trainer.callback_metrics[f"val/{self.trial.user_attrs[METRIC]}"])
        epoch = trainer.current_epoch + 1
        if epoch not in reported(self.trial):  # a run that goes on may score again
            self.trial.report(score, epoch)
        self.is_poor = self.trial.should_prune()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        from optuna import TrialPruned

        if self.is_poor:
            raise TrialPruned


@contextmanager
def only_warnings() -> Iterator[None]:
    """What a training says of itself is left out, but for warnings."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def reported(trial: Trial) -> dict[int, float]:
    """The scores of a trial so far, by epoch."""
    return trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values


def run_trial(
    folder: Path, plan: SweepPlan, trial: Trial, run: Path, values: list[str], read: AnyData | None
) -> float:
    """The score of a trial with ``values``: trained into ``run``, or on from its last checkpoint, or known.

    ``read`` is as for :func:`~pocketvision.runs.build.build`.

    Raises:
        TrialPruned: it was poor and has ended early.
        InputError: a value is unfit.
        StoppedError: a signal ended it.
    """
    callbacks = [ReportScores(trial)]
    if is_finished(run):
        metrics = read_json(run / "metrics.json")
    elif any(is_intact(run / "checkpoints" / name) for name in (LAST, PREVIOUS)):
        trained = resume(run, callbacks=callbacks)
        metrics = {} if trained is None else trained.metrics
    else:
        shutil.rmtree(run, ignore_errors=True)  # nothing was trained before it was killed
        experiment, files, overrides = plan.experiment(folder, values)
        trained = fit(with_callbacks(experiment, callbacks), run, files, overrides, read=read)
        metrics = {} if trained is None else trained.metrics
    return float(metrics[trial.user_attrs[METRIC]] or 0.0)
