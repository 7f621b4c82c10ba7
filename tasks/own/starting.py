"""From what somebody asks for to what is trained: a config for a data set, and what its data decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from pocketvision.core.config import Experiment, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.datasets.data_module import AnyData
from pocketvision.runs.build import build, look_at_start, refuse_several_tasks
from pocketvision.runs.folder import check_trainer, load_experiment, override
from pocketvision.tasks.own.look import data_weights, look_at, raised_cap, write_config
from pocketvision.tasks.own.rare_classes import settled_repeats
from pocketvision.tasks.own.several import look_at_several, write_several
from pocketvision.tasks.own.start import inputs_of_start, starting_model
from pocketvision.tasks.own.timing import auto_overrides, auto_recipe, describe_recipe, minutes_overrides

AUTO, DATA_WEIGHTS = "recipe=auto", "task.loss.class_weights=data"
say = rank_zero_only(print)


@dataclass(frozen=True)
class Request:
    """What is asked for beside the config.

    ``minutes`` began when the monotonic clock was at ``started``. Without ``is_run`` nothing is trained or
    measured, and published weights need not be there; ``is_shown`` only shows the experiment.
    """

    started: float
    minutes: float | None = None
    is_run: bool = True
    is_shown: bool = False


class Settled(NamedTuple):
    """An experiment, its config's files, the overrides that make it, and the data read for it, if any."""

    experiment: Experiment
    files: list[Path]
    overrides: list[str]
    read: AnyData | None


def new_folder(config: Path) -> Path:
    """Where a run goes for which nobody names a folder: out/CONFIG/TIME."""
    return Path("out", config.stem, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def configure(
    data: Sequence[str], tasks: Sequence[str], models: Sequence[str], overrides: Sequence[str], folder: Path,
    command: str, request: Request,
) -> tuple[Path, list[str], AnyData]:  # fmt: skip
    """Write a config for a data set, or for one of each of several tasks; print what was found.

    ``tasks`` are those of the first data sets, where they serve several, and ``models`` a family for each.

    Returns:
        The config, the overrides to go on with, and the data that were read.

    Raises:
        InputError: data, tasks and models don't go together.
    """
    overrides = [word for word in overrides if word != AUTO]  # the config that is written has its recipe
    if len(data) > 1:
        return _configure_several(data, tasks, models, overrides, folder, command, request)
    if more := [option for option, given in (("task", tasks), ("model", models)) if len(given) > 1]:
        raise InputError(
            f"--{more[0]} is given {len(tasks if more[0] == 'task' else models)} times, --data once."
        )
    task, model = next(iter(tasks), None), next(iter(models), None)
    weights = parse_overrides(overrides).get("model.weights")
    begun = starting_model(weights) if model is None and isinstance(weights, str) else None
    own = look_at(data[0], task, model, overrides, begun)
    if own.start is not None:
        kept = [word for word in overrides if not word.startswith("model.weights=")]
        overrides = [*kept, f"model.weights={own.start.weights!r}"]
    say("\n".join(own.lines()), flush=True)
    minutes = request.minutes if request.is_run else None
    file, recipe = write_config(
        own, folder, overrides, command, minutes, check_weights=request.is_run, started=request.started
    )
    say(describe_recipe(recipe.derivation), flush=True)
    limits = [] if recipe.minutes is None else [f"minutes={recipe.minutes!r}"]
    return file, [*limits, *overrides], own.data


def _configure_several(
    data: Sequence[str], tasks: Sequence[str], models: Sequence[str], overrides: list[str], folder: Path,
    command: str, request: Request,
) -> tuple[Path, list[str], AnyData]:  # fmt: skip
    several = look_at_several(data, tasks, models, overrides)
    say("\n".join(several.lines()), flush=True)
    file, recipe = write_several(several, folder, overrides, command, check_weights=request.is_run)
    say(describe_recipe(recipe.derivation), flush=True)
    limits: list[str] = []
    if request.minutes is not None and request.is_run:
        experiment, _ = load_experiment(file, overrides)
        limits, line = minutes_overrides(experiment, request.minutes, several.data, request.started)
        say(line, flush=True)
    return file, [*limits, *overrides], several.data


def settle(
    config: Path, overrides: Sequence[str], request: Request, read: AnyData | None = None, *, is_own: bool
) -> Settled:
    """The experiment of a config, with what its data decide: class weights, the automatic recipe, minutes.

    ``is_own`` configs are those of :func:`configure`, which has kept to the minutes and seen the weights.
    """
    experiment, files = load_experiment(config, overrides)
    if words := inputs_of_start(experiment, overrides):
        say(f"inputs as the weights were trained with: {', '.join(words)}", flush=True)
        overrides = [*overrides, *words]
        experiment, files = load_experiment(config, overrides)
    check_trainer(experiment)
    if request.is_run and not is_own:
        look_at_start(experiment)
    is_auto = experiment.recipe == "auto" and (request.is_run or AUTO in overrides)
    if is_auto or not request.is_shown:
        minutes = request.minutes if request.is_run and not is_own else None
        auto = overrides if is_auto else None
        settled, read = _decided_by_data(experiment, minutes, request.started, read, auto)
        if settled:
            overrides = [*settled, *(word for word in overrides if word != DATA_WEIGHTS)]
            experiment, files = load_experiment(config, overrides)
    return Settled(experiment, files, list(overrides), read)


def _decided_by_data(
    experiment: Experiment, minutes: float | None, started: float, read: AnyData | None,
    auto: Sequence[str] | None,
) -> tuple[list[str], AnyData | None]:  # fmt: skip
    """Overrides, printed; ``auto`` are those given where the recipe is automatic. The data come with them."""
    if auto is not None:
        refuse_several_tasks(experiment, "recipe=auto", "state trainer.max_steps")
    if read is None and (auto is not None or minutes is not None):
        _, read = build(experiment, pretrained=False)
    settled = data_weights(experiment, read)
    if auto is not None:
        repeats, rare = settled_repeats(experiment, auto, read)
        recipe = auto_recipe(
            override(experiment, rare), minutes, read, started, repeats and repeats.num_drawn
        )
        say("".join(f"{repeats.line()}\n" for _ in rare if repeats), end="", flush=True)
        say(describe_recipe(recipe.derivation), flush=True)
        limits = [] if recipe.minutes is None else [f"minutes={recipe.minutes!r}"]
        cap = raised_cap(experiment, read)
        say("".join(f"crowded pictures: {word}\n" for word in cap), end="", flush=True)
        settled += [*limits, *auto_overrides(experiment, recipe), *cap, *rare]
    elif minutes is not None:
        limits, line = minutes_overrides(experiment, minutes, read, started)
        say(line, flush=True)
        settled += limits
    return settled, read
