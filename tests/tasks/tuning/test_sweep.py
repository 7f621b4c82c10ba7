"""Covers tasks/tuning/sweep.py, tasks/tuning/study.py, tasks/tuning/trial.py, tasks/tuning/plan.py.

Trials are ordinary runs: interrupted ones go on, poor ones end early, and nothing that is finished is lost.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState
from safetensors.torch import load_file

from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.fit import fit, is_finished, resume
from pocketvision.tasks.tuning.plan import SweepPlan, read_plan, write_plan
from pocketvision.tasks.tuning.study import Clock, next_trial, open_study
from pocketvision.tasks.tuning.sweep import search, try_values

pytestmark = pytest.mark.slow

TINY = (
    "data.num_train=8", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "model.width_mult=0.35", "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
)  # fmt: skip
SPACE = ("task.optimizer.lr=1e-4..1e-1", "task.schedule=cosine,poly")
CONFIG = find_config("quickstart")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep that has time for its first trial only."""
    write_plan(tmp_path / "sweep", SweepPlan("", TINY, SPACE, 1e-3, 1.0, ("quickstart", *TINY)), [CONFIG])
    return tmp_path / "sweep"


class Killed(BaseException):
    """What ends a process at once, as far as the code that is tested can tell."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    trained = VisionTask.training_step

    def training_step(self: VisionTask, samples: object, index: int) -> object:  # type: ignore[type-arg]
        if self.global_step == step:
            raise Killed
        return trained(self, samples, index)

    monkeypatch.setattr(VisionTask, "training_step", training_step)
    return monkeypatch


def test_a_killed_trial_goes_on_bit_for_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        kill_at(6, monkeypatch)
        search(folder, time.monotonic())
    monkeypatch.undo()
    run = folder / "trials" / "0"
    assert (run / "checkpoints" / "last.ckpt").is_file() and not is_finished(run)
    assert [trial.state for trial in open_study(folder).trials] == [TrialState.RUNNING]

    (outcome,) = search(folder, time.monotonic())
    assert outcome.is_finished and outcome.values == ("task.optimizer.lr=0.004", "task.schedule=cosine")
    words = [*TINY, *outcome.values]
    experiment, files = load_experiment(CONFIG, words)
    plain = fit(experiment, tmp_path / "plain", files, words)
    assert plain is not None and plain.metrics["AP"] == outcome.score
    expected, found = (load_file(x / "weights.safetensors") for x in (tmp_path / "plain", run))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_nothing_that_is_finished_is_trained_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "trials" / "0" / "config").mkdir(parents=True)  # was killed before its first step
    open_study(folder).ask()
    with monkeypatch.context() as patch, pytest.raises(Killed):  # and now as it ends
        patch.setattr(optuna.Study, "tell", lambda *_: (_ for _ in ()).throw(Killed))
        search(folder, time.monotonic())
    with monkeypatch.context() as patch:
        patch.setattr("pocketvision.tasks.tuning.trial.fit", None)
        (first,) = search(folder, time.monotonic())
    metrics = json.loads((folder / "trials" / "0" / "metrics.json").read_text())
    assert first.is_finished and first.score == metrics["AP"] and first.seconds is not None
    assert search(folder, time.monotonic()) == [first], "its time is over"
    found = search(folder, time.monotonic(), more_minutes=(1.5 * first.seconds + 2) / 60)
    assert found[0] == first and len(found) > 1 and found[1].values != first.values
    assert json.loads((folder / "trials.json").read_text())["trials"][1]["run"].endswith("trials/1")


def test_a_poor_trial_ends_early_and_can_be_trained_on(folder: Path) -> None:
    study = open_study(folder)
    for _ in range(3):
        good = optuna.create_trial(
            value=1.0, intermediate_values={1: 0.9, 2: 1.0}, user_attrs={"metric": "AP"}
        )
        study.add_trial(good)
    trial = study.ask()
    try_values(folder, read_plan(folder), trial, None)
    assert study.trials[3].state == TrialState.PRUNED and list(study.trials[3].intermediate_values) == [1]
    run = folder / "trials" / "3"
    assert not is_finished(run)
    trained = resume(run)
    assert trained is not None and is_finished(run) and trained.metrics["num_images"] == 2


def test_values_that_do_not_fit(folder: Path) -> None:
    """The first trial's fault is said; later ones are passed over."""
    (folder / "trials").mkdir()
    plan = SweepPlan("config/quickstart.py", TINY, ("task.schedule=cosine,wrong",), 1.0, 1.0, ())
    study = open_study(folder)
    study.enqueue_trial({"task.schedule": "wrong"})
    with pytest.raises(InputError, match="schedule is 'wrong'"):
        try_values(folder, plan, study.ask(), None)
    good = optuna.create_trial(value=1.0, user_attrs={"metric": "AP"})
    study.add_trial(good)
    study.enqueue_trial({"task.schedule": "wrong"})
    try_values(folder, plan, study.ask(), None)
    assert study.trials[2].state == TrialState.FAIL and "'wrong'" in study.trials[2].user_attrs["reason"]


def test_what_is_drawn_follows_from_the_seed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    plan = SweepPlan("", (), SPACE, 60.0, 1.0, ())
    rates = []
    for place, seed in ((folder, 1), (tmp_path / "other", 1), (tmp_path / "other", 2)):
        study = open_study(place)
        trial = next_trial(study, plan, Clock(study, 60.0, time.monotonic()), seed)
        assert trial is not None
        rates.append(trial.suggest_float("rate", 0, 1))
        study.tell(trial, state=TrialState.FAIL)
    assert rates[0] == rates[1] != rates[2]


def test_folders_that_hold_no_sweep(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="is no folder of a sweep"):
        search(tmp_path, time.monotonic())
    with pytest.raises(InputError, match="holds a sweep: go on with pocketvision tune --resume"):
        write_plan(folder, read_plan(folder), [CONFIG])
    (folder / "sweep.json").write_text('{"config": "c.py"}')
    with pytest.raises(InputError, match=r"sweep\.json is broken"):
        read_plan(folder)
