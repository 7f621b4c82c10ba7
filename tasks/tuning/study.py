"""Optuna's study of a sweep: where it is kept, what it tries next, and the time that it has taken."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketvision.core.errors import InputError
from pocketvision.tasks.tuning.plan import SweepPlan

if TYPE_CHECKING:
    from optuna import Study, Trial

STORAGE = "study.db"
_NAME = "pocketvision"
_SECONDS = "seconds"
"""What a study knows by it: the time of the sweep that is over, over interruptions."""
_RANDOM_TRIALS = 5
"""Before the sampler has seen enough to choose."""
_COMPARED_TRIALS = 3
"""Finished ones, before a poor one is stopped."""


def optuna_package() -> Any:
    """Optuna, which is imported only where a sweep is wanted.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("A sweep needs the package optuna: pip install 'pocketvision[tune]'.") from error
    return optuna


def seconds_spent(study: Study) -> float:
    """What a sweep has taken until :meth:`Clock.keep` was last called."""
    return float(study.user_attrs.get(_SECONDS, 0.0))


class Clock:
    """The time of a sweep: what earlier processes took, and this one since ``started`` (monotonic)."""

    def __init__(self, study: Study, minutes: float, started: float) -> None:
        self.study, self.seconds = study, 60 * minutes
        self.started = started - seconds_spent(study)

    @property
    def left(self) -> float:
        """Seconds until the sweep is over."""
        return self.seconds - (time.monotonic() - self.started)

    def keep(self) -> None:
        """Let the study know what is over."""
        self.study.set_user_attr(_SECONDS, self.seconds - self.left)


def open_study(folder: Path) -> Study:
    """The study in ``folder``, a new one if there is none; ``optuna-dashboard`` opens its file, too."""
    optuna = optuna_package()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_COMPARED_TRIALS)
    storage = f"sqlite:///{(folder / STORAGE).resolve()}"
    study: Study = optuna.create_study(
        storage=storage, pruner=pruner, study_name=_NAME, direction="maximize", load_if_exists=True
    )
    return study


def next_trial(study: Study, plan: SweepPlan, clock: Clock, seed: int) -> Trial | None:
    """The trial that was interrupted, or a new one if there is time for it.

    What is drawn follows from the seed and the trials before, however often the sweep was interrupted.
    """
    from optuna.samplers import TPESampler
    from optuna.trial import Trial, TrialState

    begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    running = [trial for trial in begun if trial.state == TrialState.RUNNING]
    position = np.random.SeedSequence((seed, len(begun) - len(running))).generate_state(1)
    study.sampler = TPESampler(seed=int(position[0]), n_startup_trials=_RANDOM_TRIALS)
    if running:
        return Trial(study, running[0]._trial_id)
    complete = [trial for trial in begun if trial.state == TrialState.COMPLETE]
    took = [trial.duration.total_seconds() for trial in complete if trial.duration is not None]
    if begun and clock.left < (float(np.median(took)) if took else plan.trial_seconds):
        return None
    return study.ask()
