"""Options that a task passes on have the names and defaults of the base's, and are refused alike."""

from __future__ import annotations

import inspect

import pytest

from pocketvision.core.config import parameters
from pocketvision.losses import PixelDistillation
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.options import TaskOptions, check_options
from pocketvision.tasks.segmentation import SegmentationTask


def test_the_options_are_the_arguments_with_a_default() -> None:
    signature = inspect.signature(VisionTask.__init__).parameters
    optional = [name for name, p in signature.items() if p.default is not p.empty]
    assert list(TaskOptions.__annotations__) == optional
    own = {"auxiliary_weight": 0.5, "teacher": None, "distillation": PixelDistillation()}
    assert parameters(SegmentationTask) == parameters(VisionTask) | own


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": "linear"}, "schedule is 'linear': choose from cosine, poly, step, constant"),
        ({"decay_rate": 0.0}, "decay_rate is 0.0"),
        ({"decay_epochs": 0.0}, "decay_epochs 0.0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0: give a number from 0 to below 1"),
        ({"layer_decay": 1.1}, "layer_decay is 1.1: give a number above 0, up to 1"),
    ],
)
def test_values_out_of_range_are_refused(changed: dict[str, float], message: str) -> None:
    fine = {
        "schedule": "cosine",
        "decay_rate": 1.0,
        "decay_epochs": 1.0,
        "ema_decay": 0.0,
        "layer_decay": 1.0,
    }
    check_options(**fine)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        check_options(**{**fine, **changed})  # type: ignore[arg-type]
