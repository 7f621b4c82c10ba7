"""What a sweep is, as its folder keeps it: a config, what is searched, and how long."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.config import Experiment, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, read_json, write_json
from pocketvision.runs.folder import keep_config, load_experiment
from pocketvision.tasks.tuning.space import Dimension, parse_space

FILE = "sweep.json"


@dataclass(frozen=True)
class SweepPlan:
    """The content of sweep.json.

    ``config`` is the copy in the folder, ``overrides`` hold for every trial, ``space`` are the words that say
    what is searched, ``minutes`` the time in all, ``trial_seconds`` what a trial is expected to take. The
    command that trains fully has the words ``train``, and then what was found.
    """

    config: str
    overrides: tuple[str, ...]
    space: tuple[str, ...]
    minutes: float
    trial_seconds: float
    train: tuple[str, ...]

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """What is searched, by key."""
        return parse_space(self.space)[0]

    def experiment(
        self, folder: Path, values: Sequence[str] = ()
    ) -> tuple[Experiment, list[Path], list[str]]:
        """A trial's experiment, its config's files, and all its overrides; ``values`` are those searched.

        Raises:
            InputError: one does not fit.
        """
        overrides = [*self.overrides, *values]
        return *load_experiment(folder / self.config, overrides), overrides

    def train_command(self, values: Sequence[str]) -> str:
        """The command that trains fully with the values of a trial."""
        return shlex.join(["pocketvision", "train", *self.train, *values])


def write_plan(folder: Path, plan: SweepPlan, config_files: Sequence[Path]) -> None:
    """Make a sweep's folder: its own copy of the config, and the plan."""
    check_folder(folder)
    config = keep_config(config_files, folder).relative_to(folder).as_posix()
    _write(folder, dataclasses.replace(plan, config=config))


def add_minutes(folder: Path, plan: SweepPlan, minutes: float, seconds_spent: float) -> SweepPlan:
    """Give a sweep ``minutes`` more than it had, or has taken."""
    longer = dataclasses.replace(plan, minutes=max(plan.minutes, seconds_spent / 60) + minutes)
    _write(folder, longer)
    return longer


def _write(folder: Path, plan: SweepPlan) -> None:
    write_json(folder / FILE, dataclasses.asdict(plan))


def check_folder(folder: Path) -> None:
    """Refuse a folder for a new sweep that has something in it.

    Raises:
        InputError: it has; where that is a sweep, the sentence says how to go on.
    """
    if (folder / FILE).is_file():
        raise InputError(
            f"{folder} holds a sweep: go on with pocketvision tune --resume {shlex.quote(str(folder))}, or "
            "choose another --run-dir."
        )
    check_empty(folder, "--run-dir")


def read_plan(folder: Path) -> SweepPlan:
    """The plan of a sweep's folder.

    Raises:
        InputError: it has none, or one that is broken.
    """
    file = folder / FILE
    if not file.is_file():
        raise InputError(f"{folder} is no folder of a sweep: it has no {FILE}.")
    content = read_json(file)
    try:
        overrides, space, train = (tuple(map(str, content[key])) for key in ("overrides", "space", "train"))
        minutes, seconds = (float(content[key]) for key in ("minutes", "trial_seconds"))
        return SweepPlan(str(content["config"]), overrides, space, minutes, seconds, train)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} is broken ({error!r}): start the sweep again.") from error


def keys_of(words: Sequence[str]) -> set[str]:
    """The keys of overrides."""
    return set(parse_overrides(words))
