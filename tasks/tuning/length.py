"""How long a sweep's trials are: all the same, so many steps that the wanted number of them fits."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.datasets.data_module import AnyData
from pocketvision.runs.build import build, refuse_several_tasks
from pocketvision.tasks.own.recipe import SPARE_TIME
from pocketvision.tasks.own.timing import MAX_SCORINGS, Speed, measure

_LENGTHS = ("trainer.max_steps", "trainer.max_epochs")
_SCORING_SHARE = 0.25
"""Of a trial's time: without scores on the way, a poor trial can't be stopped."""


def trial_length(
    experiment: Experiment, stated: Collection[str], seconds: float, read: AnyData | None
) -> tuple[list[str], str]:
    """Overrides for trials that take ``seconds``, scorings included, and a line that says what they are.

    A length among the ``stated`` keys of overrides is kept to, and so is a config's that is shorter.
    ``read`` is as for :func:`~pocketvision.runs.build.build`.

    Raises:
        InputError: the data or a value of the config is unfit, or the time is too short for a step.
    """
    if any(key in stated for key in _LENGTHS):
        return [], "a trial is as long as you have stated"
    refuse_several_tasks(experiment, "timing a trial", "state trainer.max_steps")
    model, data = build(experiment, pretrained=False, read=read)
    speed = measure(experiment, model, data)
    took = f"a step takes {speed.seconds_per_step:.3g} s, scoring {speed.seconds_per_scoring:.3g} s"
    left = seconds * (1 - SPARE_TIME) - speed.seconds_per_scoring
    if left < speed.seconds_per_step:
        raise InputError(
            f"A trial of {seconds:.3g} s is too short: {took}. Give more --minutes or fewer --trials."
        )
    if _planned_seconds(experiment.trainer, speed) <= left:
        return [], f"{took}: a trial is as long as the config says"
    epochs = int(left / (speed.seconds_per_step * speed.steps_per_epoch))
    scorings = min(MAX_SCORINGS, epochs, int(_SCORING_SHARE * left / speed.seconds_per_scoring))
    if scorings < 2:
        steps = int(left / speed.seconds_per_step)
        limits = [f"trainer.max_steps={steps}", "trainer.limit_val_batches=0"]
        return limits, f"{took}: a trial has {steps} steps, too few to stop poor ones early"
    left -= (scorings - 1) * speed.seconds_per_scoring
    epochs = max(scorings, int(left / (speed.seconds_per_step * speed.steps_per_epoch)))
    between = math.ceil(epochs / scorings)
    limits = ["trainer.max_steps=-1", f"trainer.max_epochs={epochs}"]
    limits.append(f"trainer.check_val_every_n_epoch={between}")
    return limits, f"{took}: a trial has {epochs} epochs and is scored {epochs // between} times"


def _planned_seconds(options: Mapping[str, Any], speed: Speed) -> float:
    """What a training as the config states it takes, with the scorings on its way."""
    limits = [options.get("max_steps") or -1, (options.get("max_epochs") or -1) * speed.steps_per_epoch]
    steps = min((limit for limit in limits if limit > 0), default=math.inf)
    per_step = speed.seconds_per_step
    if options.get("limit_val_batches", 1.0) != 0:
        epochs = options.get("check_val_every_n_epoch") or 1
        per_step += speed.seconds_per_scoring / (epochs * speed.steps_per_epoch)
    return float(steps * per_step)
