"""What every task takes beside model, loss, optimizer and batch, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, get_args

from pocketvision.tasks.learning_rates import Schedule


class TaskOptions(TypedDict, total=False):
    """Options of :class:`~pocketvision.tasks.base.VisionTask`, for a task that adds its own."""

    warmup_steps: int
    schedule: Schedule
    backbone_lr_factor: float
    decay_rate: float
    decay_epochs: float
    decay_depthwise: bool
    ema_decay: float | None
    freeze_until: str | None
    freeze_norms: bool
    layer_decay: float
    quantization_aware: bool
    compiled: bool


def check_options(
    schedule: str, decay_rate: float, decay_epochs: float, ema_decay: float | None, layer_decay: float
) -> None:
    """Raise :class:`ValueError` for an unknown schedule or a value out of range."""
    if schedule not in get_args(Schedule):
        raise ValueError(f"schedule is {schedule!r}: choose from {', '.join(get_args(Schedule))}.")
    if not (0 < decay_rate <= 1 and decay_epochs > 0):
        raise ValueError(
            f"decay_rate is {decay_rate!r} and decay_epochs {decay_epochs!r}: give a rate above 0, up to "
            "1, and a number of epochs above 0."
        )
    if ema_decay is not None and not 0 <= ema_decay < 1:
        raise ValueError(f"ema_decay is {ema_decay!r}: give a number from 0 to below 1, or None.")
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay!r}: give a number above 0, up to 1.")


def check_class_weights(loss: object, class_names: Sequence[str | None]) -> None:
    """Refuse a loss's ``class_weights``, where it has some, that are not one a class.

    Raises:
        ValueError: they are more, or fewer.
    """
    weights = getattr(loss, "class_weights", None)
    if weights is not None and len(weights) != len(class_names):
        raise ValueError(
            f"task.loss.class_weights has {len(weights)} values for {len(class_names)} classes: give one a "
            "class, or None."
        )
