"""Covers evaluation/upper_bound.py.

The self-test passes where all is well, and says where to look where something is broken.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from pocketvision.backbones import WithPAN, mobilenet_v3_small
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.boxes import SSDBoxCoder, box_iou
from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets.records.splits import take
from pocketvision.evaluation.upper_bound import DetectionOracle, best_possible_score
from pocketvision.heads import GFLHead
from pocketvision.losses import ATSSAssigner, GFLLoss
from pocketvision.losses.ssd import pad_targets
from pocketvision.models import Detector, SSDPostprocess
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


@pytest.mark.parametrize("name", ["quickstart", "quickstart_segmentation"])
def test_a_teacher_has_no_part_in_it(name: str) -> None:
    assert overfit(quickstart(name, "trainer.max_steps=2", "task.teacher='nowhere'"), 2).num_steps == 2


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


@pytest.mark.parametrize("scale", [0.5, 7.0])
@pytest.mark.parametrize("reg_max", [0, 7])
def test_the_ceiling_of_a_dense_head_is_as_high_as_its_distributions_reach(
    reg_max: int, scale: float
) -> None:
    """Brute force: a side lies at most twice as far from a point as its anchor's."""
    _, data = build(quickstart(), pretrained=False)
    model = Detector(
        WithPAN(mobilenet_v3_small(width_mult=0.35, out_features=("c3", "c4", "c5")), channels=8),
        partial(GFLHead, depth=1, reg_max=reg_max), data.class_names(), Resize((96, 96)), CellAnchors(scale),
        SSDPostprocess(coder=DistanceBoxCoder()), "sigmoid",
    ).eval()  # fmt: skip
    batch = type(data).collate([data.dataset("train", train=False)[i] for i in range(4)])
    loss, own = GFLLoss(ATSSAssigner()), take(data.records("train"), range(4))
    score = best_possible_score(model, loss, own, [batch], "AP")
    if reg_max == 0 or scale == 7.0:
        assert score == pytest.approx(1.0)
        return
    oracle = DetectionOracle(model, loss)
    oracle.targets = batch.targets
    anchors = model(batch.images).anchors
    matches = loss.matcher(*(pad_targets(batch.targets)[i] for i in (0, 2)), anchors)
    for found, target, row in zip(oracle.predict(batch.images).unpad(), batch.targets, matches, strict=True):
        for number, box in enumerate(target.boxes):
            reached = []
            for left, top, right, bottom in anchors[row == number].tolist():
                x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
                low, high = torch.tensor([x - w, y - h]), torch.tensor([x + w, y + h])
                sides = torch.cat((box[:2].clamp(low, high), box[2:].clamp(low, high)))
                reached.append(float(box_iou(sides[None], box[None])))
            best = float(box_iou(found.boxes, box[None]).max()) if len(found.boxes) else 0.0
            assert best == pytest.approx(max(reached), abs=1e-3)
    assert score < 0.9


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
