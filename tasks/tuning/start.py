"""From a command to a sweep's folder: the config of a data set, what is searched, and a trial's length."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment, parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.own.starting import Request, Settled, configure, new_folder, settle
from pocketvision.tasks.tuning.learning_rates import RateRange, find_rates, plot_rates, stated_rate
from pocketvision.tasks.tuning.length import trial_length
from pocketvision.tasks.tuning.plan import SweepPlan, check_folder, keys_of, write_plan
from pocketvision.tasks.tuning.space import Dimension, parse_space
from pocketvision.tasks.tuning.study import optuna_package

_OWN = "own_"


@dataclass(frozen=True)
class SweepRequest:
    """What is asked for: a ``config`` or ``data``, with ``task`` and ``model`` as ``train --data`` has them.

    ``words`` are overrides, ranges and lists. A trial is so long that ``trials`` of them fit into the
    ``minutes``, which began when the monotonic clock was at ``started``.
    """

    config: Path | None
    data: str | None
    task: str | None
    model: str | None
    words: Sequence[str]
    minutes: float
    trials: int
    started: float

    @property
    def trial_seconds(self) -> float:
        """What a trial may take, of the time that is left by now."""
        return (60 * self.minutes - (time.monotonic() - self.started)) / self.trials

    @property
    def train(self) -> tuple[str, ...]:
        """The words after ``train`` that train fully, without what is searched."""
        options = (("--data", self.data), ("--task", self.task), ("--model", self.model))
        given = [word for name, value in options if value is not None for word in (name, value)]
        return (*([] if self.config is None else [config_name(self.config)]), *given)


def config_name(config: Path) -> str:
    """A config as a command line has it: a shipped one by its name."""
    return config.stem if config in shipped_configs().values() else str(config)


def begin(request: SweepRequest, folder: Path | None) -> Path:
    """Make the folder of a sweep, in which :func:`~pocketvision.tasks.tuning.sweep.search` goes on.

    ``folder`` None is one in out/tune.

    Raises:
        InputError: something is unfit; nothing is made then, and no data were read where a word was wrong.
    """
    space, fixed = parse_space(request.words)
    optuna_package()
    if folder is not None:
        check_folder(folder)
    check_keys(request, space, fixed)
    with TemporaryDirectory(prefix="pocketvision-config-") as place:
        settled = prepare(request, fixed, Path(place), request.trial_seconds / 60)
        limits, line = _length(request, settled)
        print("\n".join([*(f"{key}: {dimension}" for key, dimension in space.items()), line]), flush=True)
        plan = SweepPlan(
            config="",
            overrides=(*settled.overrides, *limits, *_place_of_data(settled.experiment)),
            space=tuple(word for word in request.words if word.partition("=")[0] in space),
            minutes=request.minutes,
            trial_seconds=request.trial_seconds,
            train=(*request.train, *fixed),
        )
        folder = folder or sweep_folder(settled.files[0])
        write_plan(folder, plan, settled.files)
    return folder


def sweep_folder(config: Path) -> Path:
    """Where a sweep goes for which nobody names a folder: out/tune/CONFIG/TIME."""
    return Path("out", "tune", *new_folder(config).parts[1:])


def prepare(
    request: SweepRequest, fixed: Sequence[str], place: Path, minutes: float | None = None
) -> Settled:
    """The experiment of a config, or of one for the data that is written into ``place``, with its data.

    The recipe for data without a config fits into ``minutes``.

    Raises:
        InputError: data or a value are unfit, or several devices are asked for.
    """
    config, overrides, read = request.config, list(fixed), None
    if config is None:
        assert request.data is not None
        command, asked = shlex.join(["tune", *request.train]), Request(request.started, minutes)
        tasks, models = ([] if one is None else [one] for one in (request.task, request.model))
        config, overrides, read = configure([request.data], tasks, models, fixed, place, command, asked)
        overrides = [word for word in overrides if not word.startswith("minutes=")]
    settled = settle(config, overrides, Request(request.started), read, is_own=request.data is not None)
    refuse_several_processes(settled.experiment)
    return settled


def _length(request: SweepRequest, settled: Settled) -> tuple[list[str], str]:
    """Overrides for a trial's length, and a line about it; a recipe for own data has its length by now."""
    if request.data is not None:
        return [], "a trial is as long as the recipe says"
    stated = keys_of(request.words)
    limits, line = trial_length(settled.experiment, stated, request.trial_seconds, settled.read)
    return [word for word in limits if word.partition("=")[0] not in stated], line


def suggest_rate(request: SweepRequest, folder: Path | None) -> tuple[RateRange, float, Path]:
    """What learning rates a config, or a model for data, learns with; the picture lies in ``folder``.

    Returns:
        The range, the config's own rate, and the picture.

    Raises:
        InputError: something is unfit, or the folder is not empty.
    """
    if folder is not None:
        check_folder(folder)
    check_keys(request, {}, request.words)
    with TemporaryDirectory(prefix="pocketvision-config-") as place:
        settled = prepare(request, request.words, Path(place))
        found = find_rates(settled.experiment, settled.read)
        stated = stated_rate(settled.experiment)
        picture = (folder or sweep_folder(settled.files[0])) / "learning_rates.png"
    plot_rates(found, stated, picture)
    return found, stated, picture


def check_keys(request: SweepRequest, space: dict[str, Dimension], fixed: Sequence[str]) -> None:
    """Check all keys before data are opened; those of a data set without a config by the configs for such.

    Raises:
        InputError: one is unknown.
    """
    words = [*fixed, *(f"{key}={dimension.example}" for key, dimension in space.items())]
    if "minutes" in parse_overrides(words):
        raise InputError("minutes is not for trials: give --minutes for the sweep, or trainer.max_steps.")
    if request.config is not None:
        experiment, _ = load_experiment(request.config, words)
        refuse_several_processes(experiment)
        return
    others = [word for word in words if not word.startswith("data.")]  # they are the found format's
    errors = []
    for name, config in shipped_configs().items():
        if name.startswith(_OWN + (request.task or "")):
            try:
                load_experiment(config, others)
                return
            except InputError as error:
                errors.append(error)
    raise errors[0]


def refuse_several_processes(experiment: Experiment) -> None:
    """Refuse several devices: a sweep's process trains one trial after the other.

    Raises:
        InputError: they are asked for.
    """
    if (
        experiment.trainer.get("devices", 1) not in (1, "1", [0])
        or experiment.trainer.get("num_nodes", 1) != 1
    ):
        raise InputError("tune trains in one process: leave out trainer.devices and trainer.num_nodes.")


def _place_of_data(experiment: Experiment) -> list[str]:
    """Where the data are from the root of the disk: a sweep may go on in another folder."""
    root = parameters(experiment.data).get("root")
    if not isinstance(root, str | Path) or not Path(root).expanduser().exists():
        return []
    return [f"data.root={str(Path(root).expanduser().resolve())!r}"]
