"""``train --data A --data B``: what each holds, and one config for a model of all their tasks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast, get_args

from pocketvision.core.command import shipped_configs
from pocketvision.core.config import parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.later import Later
from pocketvision.core.registered import TaskName, default_model, own_config, task_of
from pocketvision.core.resize import RGB
from pocketvision.datasets import JointDataModule, detect_format, format_modules
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.paired import common_pictures
from pocketvision.runs.build import look_at_start
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.accumulation import num_parts
from pocketvision.tasks.own.found import OwnData
from pocketvision.tasks.own.look import has_published, look_at
from pocketvision.tasks.own.recipe import TrainingRecipe, derive_recipe, join_recipes
from pocketvision.tasks.own.settings import task_settings
from pocketvision.tasks.own.several_text import several_text
from pocketvision.tasks.own.tiles import missed_tiles
from pocketvision.tasks.own.timing import scoring_options

_COMMON = ("batch_size", "eval_batch_size", "num_workers", "seed", "shares")
_LEAD: tuple[TaskName, ...] = ("segmentation", "detection", "classification")
"""Whose pictures say the input's size: masks lose most where it is not theirs."""


@dataclass(frozen=True)
class SeveralData:
    """What was found, by task in the order of :data:`~pocketvision.core.registered.TaskName`.

    ``backbone`` is shared, and ``mode`` how pictures are brought to the input's size.
    """

    parts: Mapping[TaskName, OwnData]
    backbone: str
    mode: str

    def lines(self) -> list[str]:
        """What a person should know of each."""
        lines = [line for task, own in self.parts.items() for line in (*own.lines(), *self._missed[task], "")]
        number = self.num_both
        if self.together:
            return [*lines, "all pictures carry boxes and masks: each batch teaches both"]
        if number:
            said = f"{number} training pictures carry boxes and masks, and come in both turns"
            return [*lines, f'{said}: with "both" in data.shares a batch of them teaches both']
        return lines[:-1]

    @cached_property
    def _missed(self) -> dict[TaskName, list[str]]:
        """Of data that would have tiles alone."""
        return {
            task: missed_tiles(own.data.own_records(own.data.train_split), own.image_size, task)
            for task, own in self.parts.items()
        }

    @cached_property
    def num_both(self) -> int:
        """Training pictures that carry boxes and masks."""
        if not {"detection", "segmentation"} <= self.parts.keys():
            return 0
        boxes, masks = (self._training_files(task) for task in ("detection", "segmentation"))
        return len(common_pictures(boxes, masks))

    @property
    def together(self) -> bool:
        """Whether every training picture carries boxes and masks, and there is no third task."""
        return len(self.parts) == 2 and all(
            self.num_both == len(self._training_files(task)) for task in self.parts
        )

    def _training_files(self, task: TaskName) -> Sequence[str]:
        data = self.parts[task].data
        return data.own_records(data.train_split).image_paths

    @property
    def data(self) -> AnyData:
        """The splits that were read."""
        parts: dict[str, Any] = {task: partial(_given, own.data) for task, own in self.parts.items()}
        return cast(AnyData, JointDataModule(parts))


def _given(data: Any, **_: Any) -> Any:
    """``data``, whatever its options are to be: only what it has read is taken from it."""
    return data


def look_at_several(
    paths: Sequence[str], tasks: Sequence[str], models: Sequence[str], overrides: Sequence[str]
) -> SeveralData:
    """Find format and task of every path, and what fits all of them.

    ``tasks`` are those of the first paths, where these serve several; ``models`` name a family for each task
    that they are for, on one backbone.

    Raises:
        InputError: two data sets are for one task, models don't go together or are for another task, pictures
            are not 8-bit RGB, tiles are asked for, or as for one data set.
    """
    given = parse_overrides(overrides)
    if tiled := [key for key, value in given.items() if key.endswith(".tile_size") and value is not None]:
        raise InputError(f"A model of several tasks sees pictures as a whole: leave {tiled[0]} out.")
    found = _tasks_of(paths, tasks)
    named = _models_of(models, tuple(found))
    backbone = next(iter(named.values())).partition("_")[2]
    lead = next(task for task in _LEAD if task in found)
    first = look_at(found[lead], lead, named[lead], _words_for(lead, given))
    mode = given.get("model.mode") or (first.fitted.resize.mode if first.fitted.resize else "stretch")
    size = {"model.image_size": first.image_size, "model.mode": mode}
    parts = {
        task: first if task == lead else look_at(path, task, named[task], _words_for(task, {**given, **size}))
        for task, path in found.items()
    }
    for own in parts.values():
        if own.pixels.pixels != RGB:
            raise InputError(f"{own.found.root} has other pictures than 8-bit RGB: train it alone.")
    batch_size = min(own.batch_size for own in parts.values())
    ordered = {
        task: replace(parts[task], batch_size=batch_size) for task in get_args(TaskName) if task in parts
    }
    return SeveralData(ordered, backbone, mode)


def _tasks_of(paths: Sequence[str], tasks: Sequence[str]) -> dict[TaskName, str]:
    """The path for each task."""
    if len(tasks) > len(paths):
        raise InputError(f"--task is given {len(tasks)} times and --data {len(paths)} times: one for each.")
    found: dict[TaskName, str] = {}
    for path, task in zip(paths, [*tasks, *[None] * (len(paths) - len(tasks))], strict=True):
        own = detect_format(path, task).task
        if own in found:
            raise InputError(
                f"{found[own]} and {path} are both for {own}: a model of several tasks takes one data set "
                "for each, so join them first, or say with --task what else one is for."
            )
        found[own] = path
    return found


def _models_of(models: Sequence[str], tasks: tuple[TaskName, ...]) -> dict[TaskName, str]:
    """A model for each task, all on one backbone."""
    named = {task_of(model): model for model in models}
    if other := [task for task in named if task not in tasks]:
        raise InputError(f"{named[other[0]]} is for {other[0]}, and no --data is: change --model.")
    backbones = list(dict.fromkeys(model.partition("_")[2] for model in models))
    if len(backbones) > 1 or len(named) < len(models):
        raise InputError(
            f"{' and '.join(models)} don't go together: give one --model for each task, all on one backbone."
        )
    backbone = (backbones or [default_model(tasks[0]).partition("_")[2]])[0]
    families = {task: named.get(task, default_model(task)).partition("_")[0] for task in tasks}
    return {task: f"{family}_{backbone}" for task, family in families.items()}


def _words_for(task: str, given: Mapping[str, Any]) -> list[str]:
    """The overrides that reading one of the data sets is to know."""
    own = f"data.parts.{task}."
    words: dict[str, Any] = {"data.tile_size": None}
    for key, value in given.items():
        if key.startswith(own):
            words[f"data.{key.removeprefix(own)}"] = value
        elif key in ("data.batch_size", "data.num_workers", "model.image_size", "model.mode"):
            words[key] = value
    return [f"{key}={value!r}" for key, value in words.items()]


def write_several(
    several: SeveralData, folder: Path, overrides: Sequence[str], command: str, *, check_weights: bool = True
) -> tuple[Path, TrainingRecipe]:
    """Derive the recipe and write the config into ``folder``, as :func:`look.write_config` for one task.

    Raises:
        InputError: an override is unknown or its value unfit.
    """
    given = parse_overrides(overrides)
    names = "_".join(
        re.sub(r"\W+", "_", own.found.root.resolve().name.lower()) for own in several.parts.values()
    )
    file = folder / f"joint_{several.backbone}_{names.strip('_') or 'data'}.py"
    recipe = _write(several, file, given, given.get("model.weights", "imagenet"), command)
    experiment, _ = load_experiment(file, overrides)
    if check_weights:
        look_at_start(experiment)
        if "model.weights" not in given and not has_published(experiment, several.data.class_names()):
            recipe = _write(several, file, given, None, command)
    return file, recipe


def _write(
    several: SeveralData, file: Path, given: Mapping[str, Any], weights: Any, command: str
) -> TrainingRecipe:
    """Write the config for training that starts from ``weights``."""
    trainer = {k.removeprefix("trainer."): v for k, v in given.items() if k.startswith("trainer.")}
    recipes = {
        task: derive_recipe(
            own.num_learned, len(own.class_names), own.batch_size, task, pretrained=weights is not None,
            dense=own.model.startswith("gfl_"), parts=num_parts(trainer), num_drawn=own.num_drawn,
        )
        for task, own in several.parts.items()
    }  # fmt: skip
    images = {task: own.num_learned for task, own in several.parts.items()}
    size = next(iter(recipes.values())).batch_size
    epochs = {task: max(1, (own.num_drawn or own.num_learned) // size) for task, own in several.parts.items()}
    recipe, shares, factors = join_recipes(
        recipes, images, epochs, pretrained=weights is not None, together=several.together
    )
    settings = {
        "model": _model(several, recipe, weights),
        "task": _task(several, recipe, factors, shares),
        "data": _data(several, shares),
        "trainer": {"max_steps": recipe.num_steps, **scoring_options(recipe)},
    }
    tasks = " and ".join(f"{own.model} for {own.found.root.resolve()}" for own in several.parts.values())
    text = [f"{tasks}, written by: {command}", "", *several.lines(), "", *recipe.derivation]
    file.write_text(several_text(text, several.parts.values(), settings), encoding="utf-8")
    return recipe


def _model(several: SeveralData, recipe: TrainingRecipe, weights: Any) -> dict[str, Any]:
    """Arguments of ``own_joint.model``."""
    parts = several.parts
    first = next(iter(parts.values()))
    model = {
        "backbone": several.backbone,
        "heads": {task: own.model.partition("_")[0] for task, own in parts.items()},
        "image_size": first.image_size,
        "mode": several.mode,
        "norm_momentum": recipe.norm_momentum,
        "weights": weights,
    }
    if "detection" in parts:
        fitted = parts["detection"].fitted
        model |= {"anchors": fitted.anchors, "max_detections": fitted.max_detections}
    return model


def _task(
    several: SeveralData,
    recipe: TrainingRecipe,
    factors: Mapping[TaskName, float],
    shares: Mapping[str, float],
) -> dict[str, Any]:
    """Arguments of the joint task: each with the loss that it has alone.

    Where tasks take turns their gradients count alike, and BatchNorm statistics are kept from half of the
    training on (docs/results.md, one forward pass, two tasks).
    """
    takes_turns = set(several.parts) <= set(shares)
    tasks = {}
    for task, own in several.parts.items():
        base = _base(own).task
        loss = parameters(base)["loss"]
        if own.fitted.class_weights is not None:
            loss = replace(loss, class_weights=own.fitted.class_weights)
        tasks[task] = partial(_class_of(base.func), loss=loss)
    return {
        "tasks": tasks,
        "lr_factors": dict(factors),
        "balance": "gradient_norm" if takes_turns else "fixed",
        "norms_until": 0.5 if takes_turns else 1.0,
        **task_settings(recipe, weight_decay=0.05),
    }


def _class_of(function: Any) -> Callable[..., Any]:
    """What a partial calls, imported."""
    return function.resolve() if type(function) is Later else cast(Callable[..., Any], function)


def _data(several: SeveralData, shares: Mapping[str, float]) -> dict[str, Any]:
    """Arguments of the joint data module."""
    parts = {}
    for task, own in several.parts.items():
        augmentation = parameters(_base(own).data)["augmentation"]
        if own.fitted.crop_size is not None:
            augmentation = replace(augmentation, crop_size=own.fitted.crop_size)
        words = {**own.found.arguments, "root": str(own.found.root.resolve())}
        if own.fitted.repeats is not None:
            words["repeat_threshold"] = own.fitted.repeats.threshold
        module = getattr(format_modules, own.found.data_module)
        parts[task] = partial(module, **words, augmentation=augmentation)
    batch_size = next(iter(several.parts.values())).batch_size
    return {"parts": parts, "shares": dict(shares), "batch_size": batch_size}


def _base(own: OwnData) -> Any:
    """The shipped experiment of a model's family."""
    return load_experiment(shipped_configs()[own_config(own.model.partition("_")[0])[0]], ())[0]
