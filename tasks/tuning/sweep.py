"""The loop of a sweep: a trial after the other while there is time, by Optuna's sampler and pruner."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.datasets.data_module import AnyData
from pocketvision.runs.build import build
from pocketvision.tasks.run_lock import only_process
from pocketvision.tasks.tuning.plan import SweepPlan, add_minutes, read_plan
from pocketvision.tasks.tuning.results import REASON, Outcome, outcomes, progress_line, write_results
from pocketvision.tasks.tuning.space import drawn, stated_values
from pocketvision.tasks.tuning.study import Clock, next_trial, open_study, seconds_spent
from pocketvision.tasks.tuning.trial import METRIC, only_warnings, run_trial

if TYPE_CHECKING:
    from optuna import Trial


def search(folder: Path, started: float, more_minutes: float = 0.0) -> list[Outcome]:
    """Go through a sweep, from its beginning or where it was interrupted, until its time is over.

    Returns:
        What came of every trial.

    Raises:
        InputError: the folder holds no sweep, another process is at it, or its first trial can't be trained.
        StoppedError: a signal ended it; the sentence says how to go on.
    """
    plan = read_plan(folder)
    with only_process(folder):
        study = open_study(folder)
        if more_minutes:
            plan = add_minutes(folder, plan, more_minutes, seconds_spent(study))
        clock = Clock(study, plan.minutes, started)
        experiment, _, _ = plan.experiment(folder)
        if not study.trials and (stated := stated_values(plan.dimensions, experiment)):
            study.enqueue_trial(stated)
        read = _read_once(plan, experiment)
        while (trial := next_trial(study, plan, clock, experiment.seed)) is not None:
            try_values(folder, plan, trial, read)
            clock.keep()
            found = outcomes(folder, study)
            print(progress_line(found, found[trial.number], max(0.0, clock.left)), flush=True)
            write_results(folder, found, plan)
        return outcomes(folder, study)


def try_values(folder: Path, plan: SweepPlan, trial: Trial, read: AnyData | None) -> None:
    """Train a trial and tell its study what came of it.

    Raises:
        InputError: it can't be trained, and none could before: what is wrong is hardly its values.
        StoppedError: a signal ended it.
    """
    from optuna import TrialPruned
    from optuna.trial import TrialState

    values = [f"{key}={value}" for key, value in drawn(plan.dimensions, trial)]
    trial.set_user_attr("values", values)
    run = folder / "trials" / str(trial.number)
    try:
        with _quiet():
            score = run_trial(folder, plan, trial, run, values, read)
    except TrialPruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    except InputError as error:
        trial.set_user_attr(REASON, str(error))
        trial.study.tell(trial, state=TrialState.FAIL)
        if not any(METRIC in other.user_attrs for other in trial.study.trials):
            raise
    except StoppedError as stop:
        words = f"Stopped in trial {trial.number}: go on with pocketvision tune --resume "
        raise StoppedError(words + shlex.quote(str(folder)), stop.code) from stop
    else:
        trial.study.tell(trial, score)


def _read_once(plan: SweepPlan, experiment: Experiment) -> AnyData | None:
    """Data that every trial can share; None where what is searched may read them differently."""
    if any(key.startswith("data.") for key in plan.dimensions):
        return None
    _, data = build(experiment, pretrained=False)
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """A trial's own lines are left out: a sweep says one of each. A terminal still shows its bar."""
    with only_warnings():
        if sys.stdout.isatty():
            yield
            return
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
            yield
