"""What a step and a scoring take on this machine, and a recipe that fits into the minutes that there are."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from torch.optim import Adam, AdamW

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.registered import TaskName
from pocketvision.datasets.data_module import AnyData
from pocketvision.evaluation.evaluate import make_evaluator
from pocketvision.losses import GFLLoss
from pocketvision.models import Classifier, Detector, VisionModel
from pocketvision.runs.build import build, refusing_bad_values
from pocketvision.tasks.accumulation import losses_in_parts, num_accumulated, num_parts, split_batch
from pocketvision.tasks.base import AnyTask
from pocketvision.tasks.learning_rates import can_freeze
from pocketvision.tasks.own.recipe import FREEZE_FEATURES, SPARE_TIME, TrainingRecipe, derive_recipe
from pocketvision.tasks.own.tiles import learned_records

MAX_SCORINGS, SCORING_SHARE = 5, 0.15
"""While training, and the share of the time that they may take."""

_WARM_UP, _MEASURED, _MAX_SECONDS = 2, 10, 30.0


class Speed(NamedTuple):
    """Seconds of an optimizer step with its data, and of scoring the validation split."""

    seconds_per_step: float
    seconds_per_scoring: float
    steps_per_epoch: int


def auto_recipe(
    experiment: Experiment, minutes: float | None, read: AnyData | None = None, started: float | None = None,
    num_drawn: int | None = None,
) -> TrainingRecipe:  # fmt: skip
    """The recipe for an experiment's data, model and batch size; with ``minutes`` a few steps are measured.

    ``read`` is as for :func:`~pocketvision.runs.build.build`. The minutes began when the monotonic clock
    was at ``started``, with None they begin now. ``num_drawn`` is as for
    :func:`~pocketvision.tasks.own.recipe.derive_recipe`.

    Raises:
        InputError: the data or a value of the config is unfit, or the time is too short for one scoring.
    """
    model, data = build(experiment, pretrained=False, read=read)
    weights = parameters(experiment.model).get("weights")
    num_images = len(learned_records(data))
    derive = partial(
        derive_recipe,
        num_images,
        len(model.class_names),
        data.batch_size,
        task_name(model),
        pretrained=weights is not None,
        freezable=all(can_freeze(model, feature) for feature in FREEZE_FEATURES),
        dense=isinstance(parameters(experiment.task).get("loss"), GFLLoss),
        parts=num_parts(experiment.trainer),
        num_drawn=num_drawn,
    )
    if minutes is None:
        return derive()
    speed = measure(experiment, model, data)
    seconds = _left(minutes, speed, started)
    scorings = min(MAX_SCORINGS, int(SCORING_SHARE * seconds / speed.seconds_per_scoring))
    seconds -= scorings * speed.seconds_per_scoring
    recipe = derive(minutes=seconds / 60, seconds_per_step=speed.seconds_per_step)
    epochs = recipe.num_steps // speed.steps_per_epoch
    between = 0 if min(scorings, epochs) == 0 else math.ceil(epochs / scorings)
    line = _scoring_line(speed, epochs // between if between else 0)
    ending = f"training ends in time for {minutes:g} min in all: where steps take longer, there are fewer"
    return replace(
        recipe,
        epochs_between_scores=between,
        derivation=(*recipe.derivation, line, ending),
        minutes=minutes_of_training(minutes, speed),
    )


def _scoring_line(speed: Speed, times: int) -> str:
    said = f"{times} times" if times > 1 else "once" if times else "not"
    return f"scoring takes {speed.seconds_per_scoring:.3g} s: {said} while training, and once at the end"


def auto_overrides(experiment: Experiment, recipe: TrainingRecipe) -> list[str]:
    """What ``recipe=auto`` changes in a config; the rate only where the optimizer is AdamW or Adam."""
    settings = {
        "task.warmup_steps": recipe.warmup_steps,
        "task.ema_decay": recipe.ema_decay,
        "task.freeze_until": recipe.freeze_until,
        "task.freeze_norms": recipe.freeze_norms,
        "trainer.max_steps": recipe.num_steps,
        "trainer.max_epochs": None,
        **scoring_options(recipe, "trainer."),
    }
    optimizer = parameters(experiment.task).get("optimizer")
    if getattr(optimizer, "func", optimizer) in (Adam, AdamW):
        settings |= {
            "task.optimizer.lr": recipe.lr,
            "task.reference_batch": recipe.batch_size,
            "task.backbone_lr_factor": recipe.backbone_lr_factor,
        }
    if "norm_momentum" in parameters(experiment.model):
        settings["model.norm_momentum"] = recipe.norm_momentum
    return [f"{key}={value!r}" for key, value in settings.items()]


def scoring_options(recipe: TrainingRecipe, prefix: str = "") -> dict[str, int]:
    """Trainer options for how often a run is scored; 0 epochs between scores means not while training."""
    if recipe.epochs_between_scores == 0:
        return {f"{prefix}limit_val_batches": 0}
    return {f"{prefix}check_val_every_n_epoch": recipe.epochs_between_scores}


def minutes_overrides(
    experiment: Experiment, minutes: float, read: AnyData | None = None, started: float | None = None
) -> tuple[list[str], str]:
    """``trainer.max_steps`` of a config that is to take ``minutes``, with a line that says why.

    ``read`` and ``started`` are as for :func:`auto_recipe`.

    Raises:
        InputError: as :func:`auto_recipe`.
    """
    model, data = build(experiment, pretrained=False, read=read)
    speed = measure(experiment, model, data)
    options = experiment.trainer
    per_step = speed.seconds_per_step
    if options.get("limit_val_batches", 1.0) != 0:
        epochs = options.get("check_val_every_n_epoch") or 1
        per_step += speed.seconds_per_scoring / (epochs * speed.steps_per_epoch)
    possible = max(1, int(_left(minutes, speed, started) * (1 - SPARE_TIME) / per_step))
    limits = [options.get("max_steps") or -1, (options.get("max_epochs") or -1) * speed.steps_per_epoch]
    planned = min((limit for limit in limits if limit > 0), default=possible)
    line = f"a step takes {speed.seconds_per_step:.3g} s, scoring {speed.seconds_per_scoring:.3g} s: "
    ending = "training ends in time where steps take longer"
    limits_of_time = [f"minutes={minutes_of_training(minutes, speed)!r}"]
    if planned < possible:
        return limits_of_time, f"{line}the config's {planned} steps fit into {minutes:g} min; {ending}"
    limits_of_time += [f"trainer.max_steps={possible}", *_scorings_within(experiment, possible, speed)]
    return limits_of_time, f"{line}{minutes:g} min leave time for {possible} steps; {ending}"


def _scorings_within(experiment: Experiment, num_steps: int, speed: Speed) -> list[str]:
    """Overrides for a run that ends before its config's first scoring."""
    options, epochs = experiment.trainer, num_steps // speed.steps_per_epoch
    if options.get("limit_val_batches", 1.0) == 0 or epochs >= (options.get("check_val_every_n_epoch") or 1):
        return []
    return [f"trainer.check_val_every_n_epoch={epochs}" if epochs else "trainer.limit_val_batches=0"]


def minutes_of_training(minutes: float, speed: Speed) -> float:
    """What of ``minutes`` is for training: the scoring at the end and what comes after it are left."""
    return round(max(1e-3, minutes * (1 - SPARE_TIME) - speed.seconds_per_scoring / 60), 4)


def measure(experiment: Experiment, model: VisionModel, data: AnyData) -> Speed:
    """Train a few steps and score a few batches with a model that is thrown away afterwards."""
    options = experiment.trainer
    if options.get("devices", 1) not in (1, "1", [0]) or options.get("num_nodes", 1) != 1:
        raise InputError("--minutes measures one process: give trainer.max_steps instead for several.")
    wants_cpu = options.get("accelerator") == "cpu"
    device = torch.device("cuda" if torch.cuda.is_available() and not wants_cpu else "cpu")
    with refusing_bad_values():
        task: AnyTask = experiment.task(model=model)
        optimizer = task.optimizer(task.parameter_groups())
    task.train().to(device)
    model.to(memory_format=torch.channels_last)

    def step(samples: Any) -> None:
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            parts = split_batch(move_data_to_device(samples, device), data.batch_size)
            _, loss = losses_in_parts(task.learner(samples), parts, torch.Tensor.backward)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device

    loader = data.train_dataloader(num_accumulated(options))
    endless = itertools.chain.from_iterable(itertools.repeat(loader))
    per_step = _time(step, endless, _WARM_UP, _MEASURED)
    model.eval()
    evaluator = make_evaluator(model, data.records(data.val_split))
    val_loader = data.eval_dataloader(data.val_split)
    per_val_batch = _time(lambda x: evaluator.update(move_data_to_device(x, device)), val_loader, 1, 3)
    return Speed(per_step, per_val_batch * len(val_loader), len(loader))


def _time(work: Callable[[Any], None], batches: Iterable[Any], warm_up: int, count: int) -> float:
    """Mean seconds of ``work`` on a batch, with loading it; the first ones are left out if there are more."""
    begin = start = time.perf_counter()
    timed = 0
    for done, samples in enumerate(batches, start=1):
        work(samples)
        if done == warm_up:
            start = time.perf_counter()
        timed = done - warm_up
        if timed >= count or (timed > 0 and time.perf_counter() - begin > _MAX_SECONDS):
            break
    if timed > 0:
        return (time.perf_counter() - start) / timed
    return (time.perf_counter() - begin) / max(1, timed + warm_up)


def _left(minutes: float, speed: Speed, started: float | None) -> float:
    """Seconds for steps and what comes between them: without getting ready and the scoring at the end."""
    spent = 0.0 if started is None else time.monotonic() - started
    seconds = minutes * 60 - speed.seconds_per_scoring - spent / (1 - SPARE_TIME)
    if seconds <= speed.seconds_per_step:
        ready = "" if started is None else f"getting ready takes {spent:.3g} s, "
        raise InputError(
            f"--minutes {minutes:g} is too short: {ready}scoring {speed.seconds_per_scoring:.3g} s, a "
            f"step {speed.seconds_per_step:.3g} s; give more minutes, or fewer validation images."
        )
    return seconds


def task_name(model: VisionModel) -> TaskName:
    """What a model is for."""
    if isinstance(model, Detector):
        return "detection"
    return "classification" if isinstance(model, Classifier) else "segmentation"


def describe_recipe(lines: Sequence[str]) -> str:
    """The derivation for the terminal."""
    return "\n".join(["recipe:", *(f"  {line}" for line in lines)])
