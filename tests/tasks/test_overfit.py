"""Covers evaluation/upper_bound.py.

The self-test passes where all is well, and says where to look where something is broken.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.datasets.records.splits import take
from pocketvision.evaluation.upper_bound import best_possible_score
from pocketvision.runs.build import build
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.overfit import Overfit, choose, overfit

SMALL = ["data.num_train=8", "data.num_val=2", "data.num_workers=0", "model.image_size=(96,96)"]


def quickstart(name: str = "quickstart", *overrides: str) -> Experiment:
    return load_experiment(shipped_configs()[name], [*SMALL, *overrides])[0]


@pytest.mark.parametrize(
    ("name", "num_images", "steps", "metric"),
    [("quickstart", 2, 120, "AP"), ("quickstart_segmentation", 1, 90, "mIoU")],
)
def test_a_sound_config_learns_by_heart(name: str, num_images: int, steps: int, metric: str) -> None:
    result = overfit(quickstart(name, f"trainer.max_steps={steps}"), num_images)
    assert result.num_images == num_images and result.num_steps == steps and result.metric == metric
    assert result.passed, result
    assert str(result).startswith(f"PASS: {num_images} images")


def test_a_loss_that_stays_high_fails() -> None:
    result = overfit(quickstart("quickstart", "trainer.max_steps=2"), 2)
    assert not result.passed and not result.is_learned
    assert str(result).startswith("FAIL") and "look at the labels" in str(result)


class MirroredCoder(SSDBoxCoder):
    """Decodes boxes that its encoder did not mean."""

    def decode(self, deltas: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
        return super().decode(-deltas, anchors).add(25.0)


def test_perfect_predictions_score_one_unless_the_coder_is_broken() -> None:
    experiment = quickstart()
    model, data = build(experiment, pretrained=False)
    records, loss = data.records("train"), experiment.task.keywords["loss"]
    batch = type(data).collate([data.dataset("train", train=False)[i] for i in range(4)])
    own = take(records, range(4))
    assert best_possible_score(model.eval(), loss, own, [batch], "AP") == pytest.approx(1.0)
    coder = MirroredCoder()
    model.postprocess = replace(model.postprocess, coder=coder)
    assert best_possible_score(model, replace(loss, coder=coder), own, [batch], "AP") < 0.3


def test_the_sentence_names_the_likely_culprit() -> None:
    sound = Overfit(8, 300, 60.0, 12.0, 0.05, "AP", 0.97, 1.0)
    assert sound.passed and "PASS" in str(sound)
    assert "postprocessing, the resize" in str(sound._replace(score=0.3))
    assert "matcher, coder" in str(sound._replace(score=0.3, ceiling=0.4))
    assert "class weights" in str(sound._replace(last_loss=5.0))
    assert not any(x.passed for x in (sound._replace(score=0.3), sound._replace(last_loss=5.0)))


def test_images_without_boxes_are_not_chosen() -> None:
    _, data = build(quickstart(), pretrained=False)
    records = data.records("train")
    crowd = records.crowd.copy()
    crowd[records.boxes_of(0)] = True
    assert 0 not in choose(replace(records, crowd=crowd), 100)
    assert choose(records, 2) == [0, 4]
    with pytest.raises(InputError, match="no image with a box"):
        choose(replace(records, crowd=crowd | True), 2)


def test_the_config_may_have_another_optimizer() -> None:
    """It is not what is tested: a rate of 0 would learn nothing."""
    experiment = quickstart("quickstart", "trainer.max_steps=20")
    lazy = replace(experiment, task=partial(experiment.task, optimizer=partial(torch.optim.SGD, lr=0.0)))
    result = overfit(lazy, 1)
    assert result.last_loss < result.first_loss
