"""A recipe from the numbers of images and classes, the batch size, and the time that there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, get_args

from pocketvision.core.registered import TaskName
from pocketvision.core.structures import BOTH

EPOCHS, FEW_IMAGES, MANY_IMAGES, MAX_EPOCHS, MIN_STEPS = 60, 1000, 5000, 300, 300
"""Epochs from ``FEW_IMAGES`` to ``MANY_IMAGES``; fewer images are seen more often, as the square root of
their number, up to ``MAX_EPOCHS``, and more of them less often, unless the weights are random."""

LR, LR_BATCH, MAX_LR = 1e-3, 8, 4e-3
"""AdamW's rate for a batch of 8 on published weights, as in ``ssdlite_v2_bccd`` and ``lraspp_v2_camvid``."""
RANDOM_FACTOR, MAX_RANDOM_LR = 8, 1e-2
"""On the rate for random weights, and the largest: docs/results.md has what 2e-3 to 1e-2 for 8 gave."""

DENSE_FACTOR, MAX_DENSE_LR = 20, 2e-2
"""On the rate of a dense head and its pyramid, which start from random weights over a published backbone, and
the largest; the backbone's own stays as it is. docs/results.md has what 1e-3 to 4e-2 gave."""

BATCH_LIMITS: dict[TaskName, int] = {"detection": 32, "segmentation": 8, "classification": 64}
FREEZE_FEATURES = ("c2", "c3")
SPARE_TIME = 0.1
"""Share of ``minutes`` for checkpoints, pictures and reports."""


@dataclass(frozen=True)
class TrainingRecipe:
    """How to train with AdamW.

    Attributes:
        num_steps: optimizer steps; whole epochs where there is time for at least one.
        batch_size: images of a step.
        lr: AdamW's, for ``batch_size`` images; the backbone's is multiplied by ``backbone_lr_factor``.
        warmup_steps: in which the rate rises.
        ema_decay: of the average of the weights that is scored and kept.
        norm_momentum: of BatchNorm's running statistics.
        freeze_until: the backbone's feature up to which nothing learns.
        freeze_norms: keep the backbone's BatchNorm statistics.
        epochs_between_scores: epochs from one scoring to the next.
        derivation: one line for a person for every value.
        minutes: after which training ends, if time is limited.
    """

    num_steps: int
    batch_size: int
    lr: float
    backbone_lr_factor: float
    warmup_steps: int
    ema_decay: float
    norm_momentum: float
    freeze_until: str | None
    freeze_norms: bool
    epochs_between_scores: int
    derivation: tuple[str, ...]
    minutes: float | None = None


def derive_recipe(
    num_images: int,
    num_classes: int,
    batch_size: int,
    task: TaskName,
    minutes: float | None = None,
    seconds_per_step: float | None = None,
    *,
    pretrained: bool = True,
    freezable: bool = True,
    dense: bool = False,
    parts: int = 1,
    num_drawn: int | None = None,
) -> TrainingRecipe:
    """Derive a recipe; the same numbers give the same one.

    ``minutes`` is the time for training steps alone, ``seconds_per_step`` what one takes;
    ``pretrained`` says that the backbone starts from published weights, ``freezable`` that it can be frozen
    up to :data:`FREEZE_FEATURES`, ``dense`` that a pyramid and a dense head lie over it. A step is ``parts``
    times ``batch_size`` images where gradients are accumulated or several processes train; BatchNorm sees a
    part. An epoch draws ``num_drawn`` images, None for each once; as many are drawn in all.

    Raises:
        ValueError: a number that is not positive, an unknown task, or minutes without the time of a step.
    """
    _check(num_images, num_classes, batch_size, task, minutes, seconds_per_step)
    total = batch_size * parts
    steps_per_epoch = max(1, (num_drawn or num_images) // total)
    longer = (num_drawn or num_images) / num_images
    num_steps, lines = _num_steps(num_images, num_classes, steps_per_epoch, pretrained, longer)
    if minutes is not None and seconds_per_step is not None:
        num_steps, more = _fit_time(num_steps, steps_per_epoch, minutes, seconds_per_step)
        lines += more
    start = (_DENSE if dense else _PUBLISHED) if pretrained else _RANDOM
    recipe = _of_length(
        num_steps,
        batch_size=total,
        lr=start.rate(total),
        backbone_lr_factor=start.backbone_factor,
        freeze_until=_freeze_until(num_images) if pretrained and freezable else None,
        freeze_norms=pretrained and batch_size < 4,
        epochs_between_scores=max(1, num_steps // steps_per_epoch // 5),
        derivation=(),
    )
    frozen = _frozen(recipe, num_images, batch_size, pretrained)
    rate = (
        f"learning rate {recipe.lr:g} for AdamW: {LR:g} for {LR_BATCH} images, by its root, on "
        f"{start.words}, {start.most:g} at most"
    )
    return replace(recipe, derivation=(*lines, rate, *_reasons(recipe), f"frozen: {frozen}"))


def join_recipes(
    recipes: Mapping[TaskName, TrainingRecipe],
    num_images: Mapping[TaskName, int],
    steps_per_epoch: Mapping[TaskName, int],
    *,
    pretrained: bool = True,
    together: bool = False,
) -> tuple[TrainingRecipe, dict[str, float], dict[TaskName, float]]:
    """One recipe for a model of several tasks: each has as many steps and the rate that it has alone.

    All are for the same batch size. ``together`` says that every image carries boxes and masks: each step is
    of both then, and there are as many as the task needs that needs most. The backbone has the least of the
    rates that it would have, and is frozen by what all images together say.

    Returns:
        The recipe, whose rate is the least; each task's share of the steps; factors on the rate, by head.
    """
    add = max if together else sum
    num_steps = add(recipe.num_steps for recipe in recipes.values())
    lr = min(recipe.lr for recipe in recipes.values())
    shares: dict[str, float] = {
        task: round(recipe.num_steps / num_steps, 4) for task, recipe in recipes.items()
    }
    factors = {task: round(recipe.lr / lr, 4) for task, recipe in recipes.items()}
    epoch = max(math.ceil(steps_per_epoch[task] / (1 if together else shares[task])) for task in recipes)
    first, total = next(iter(recipes.values())), add(num_images.values())
    backbone = min(recipe.lr * recipe.backbone_lr_factor for recipe in recipes.values())
    joint = _of_length(
        num_steps, batch_size=first.batch_size, lr=lr, backbone_lr_factor=round(backbone / lr, 4),
        freeze_until=_freeze_until(total) if pretrained else None, freeze_norms=first.freeze_norms,
        epochs_between_scores=max(1, num_steps // epoch // 5), derivation=(),
    )  # fmt: skip
    lines = [f"{task}: {line}" for task, recipe in recipes.items() for line in _of_its_own(recipe)]
    turns = ", ".join(f"{recipe.num_steps} for {task}" for task, recipe in recipes.items())
    said = f"in all: {turns}, in turns"
    if together:
        shares, said = {BOTH: 1.0}, "of both at once: as many as the task that needs most has alone"
    lines += [f"{num_steps} steps {said}", *_reasons(joint)]
    frozen = _frozen(joint, total, first.batch_size, pretrained)
    return replace(joint, derivation=(*lines, f"frozen: {frozen}")), shares, factors


def _of_its_own(recipe: TrainingRecipe) -> list[str]:
    """What a derivation says of steps and rate."""
    rates = [line for line in recipe.derivation if line.startswith("learning rate")]
    return [recipe.derivation[0], *rates]


def _of_length(num_steps: int, **values: Any) -> TrainingRecipe:
    """A recipe whose other values follow from its number of steps."""
    return TrainingRecipe(
        num_steps=num_steps,
        warmup_steps=max(1, min(1000, num_steps // 10)),
        ema_decay=round(1 - 1 / _horizon(num_steps), 5),
        norm_momentum=round(min(0.1, max(0.01, 100 / num_steps)), 3),
        **values,
    )


def _horizon(num_steps: int) -> int:
    """Steps that weights are averaged over."""
    return min(5000, max(10, num_steps // 20))


def _check(
    num_images: int, num_classes: int, batch_size: int, task: str, minutes: float | None,
    seconds_per_step: float | None,
) -> None:  # fmt: skip
    if task not in get_args(TaskName):
        raise ValueError(f"task is {task!r}: choose from {', '.join(get_args(TaskName))}.")
    if min(num_images, num_classes, batch_size) < 1 or (minutes is not None and not minutes > 0):
        raise ValueError("numbers of images, classes, batch size and minutes must be positive.")
    if minutes is not None and not (seconds_per_step or 0) > 0:
        raise ValueError("minutes need seconds_per_step, measured on this machine.")


class _Start(NamedTuple):
    """Factor and limit of the rate, the backbone's share of it, and what training starts from, in words."""

    factor: int
    most: float
    backbone_factor: float
    words: str

    def rate(self, batch_size: int) -> float:
        """AdamW's for ``batch_size`` images."""
        return float(f"{min(LR * math.sqrt(batch_size / LR_BATCH) * self.factor, self.most):.2g}")


_PUBLISHED = _Start(1, MAX_LR, 0.4, "published weights")
_RANDOM = _Start(
    RANDOM_FACTOR, MAX_RANDOM_LR, 1.0, f"random weights, {RANDOM_FACTOR} times that on published ones"
)
_DENSE = _Start(
    DENSE_FACTOR, MAX_DENSE_LR, 0.4 / DENSE_FACTOR,
    f"published weights, {DENSE_FACTOR} times that for a dense head, of which the backbone has a fiftieth",
)  # fmt: skip


def _reasons(recipe: TrainingRecipe) -> list[str]:
    """One line for a person for every value that follows from the number of steps."""
    steps, warmup, horizon = recipe.num_steps, recipe.warmup_steps, _horizon(recipe.num_steps)
    return [
        f"warm-up {warmup} steps: {_share(warmup, steps, 10, 'a tenth')}",
        f"weights are averaged over about {horizon} steps: {_share(horizon, steps, 20, 'a twentieth')}",
        f"BatchNorm momentum {recipe.norm_momentum:g}: statistics must keep up with a run of "
        f"{recipe.num_steps} steps",
    ]


def choose_batch_size(num_images: int, task: TaskName) -> int:
    """The power of two that gives an epoch at least 16 steps, from 2 to the task's limit."""
    wanted = 1 << int(math.log2(max(2, num_images / 16)))
    return min(BATCH_LIMITS[task], wanted)


def _num_steps(
    num_images: int, num_classes: int, steps_per_epoch: int, pretrained: bool, epoch: float
) -> tuple[int, list[str]]:
    """Whole epochs, each of ``epoch`` times the images, and how they were found."""
    epochs = min(MAX_EPOCHS, EPOCHS * max(1.0, math.sqrt(FEW_IMAGES / num_images)))
    if pretrained:
        epochs *= min(1.0, math.sqrt(MANY_IMAGES / num_images))
    longer = (1 + 0.1 * max(0.0, math.log2(num_classes / 20))) * (1 if pretrained else 2)
    wanted = math.ceil(max(epochs * longer / epoch, MIN_STEPS * longer / steps_per_epoch))
    reason = f"{EPOCHS} epochs, more for less than {FEW_IMAGES} images, many classes or random weights"
    if pretrained:
        reason += f", less for more than {MANY_IMAGES} images"
    if epoch > 1:
        reason += f", and for epochs that draw {epoch:.3g} times the images"
    return wanted * steps_per_epoch, [
        f"{wanted * steps_per_epoch} steps = {wanted} epochs of {steps_per_epoch}: {reason}"
    ]


def _share(steps: int, num_steps: int, divisor: int, name: str) -> str:
    """How a number of steps came about that is a share of the run within limits."""
    if steps == num_steps // divisor:
        return f"{name} of the run"
    bound = "the least" if steps > num_steps / divisor else "the most"
    return f"{bound}, {name} of the run is {num_steps / divisor:.3g}"


def _fit_time(
    num_steps: int, steps_per_epoch: int, minutes: float, seconds_per_step: float
) -> tuple[int, list[str]]:
    """As many of the steps as fit, in whole epochs if it is more than one; never none."""
    possible = int(minutes * 60 * (1 - SPARE_TIME) / seconds_per_step)
    line = f"a step takes {seconds_per_step:.3g} s: {minutes:.3g} min leave time for {possible}"
    if possible >= num_steps:
        return num_steps, [f"{line}, more than are needed"]
    if possible > steps_per_epoch:
        possible -= possible % steps_per_epoch
    possible = max(1, possible)
    return possible, [f"{line}, so {possible} are made ({possible / steps_per_epoch:.3g} epochs)"]


def _freeze_until(num_images: int) -> str | None:
    finer, coarser = FREEZE_FEATURES
    return coarser if num_images < 32 else finer if num_images < 128 else None


def _frozen(recipe: TrainingRecipe, num_images: int, batch_size: int, pretrained: bool) -> str:
    if not pretrained:
        return "nothing, as the weights are random"
    parts = []
    if recipe.freeze_until is not None:
        parts.append(f"the backbone up to {recipe.freeze_until}, as there are only {num_images} images")
    if recipe.freeze_norms:
        parts.append(f"its BatchNorm statistics, as {batch_size} images say little")
    return "; ".join(parts) or "nothing"
