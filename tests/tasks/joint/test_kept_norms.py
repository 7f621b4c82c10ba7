"""Covers tasks/joint/task.py, tasks/joint/norms.py: whose BatchNorm statistics a backbone has, until when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from pocketvision.core.command import find_config
from pocketvision.core.structures import task_of
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.fit import fit
from pocketvision.tasks.joint.norms import SharedNorms


class Means(L.Callback):
    """A running mean of the backbone after every step."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.seen.append(pl_module.model.backbone.stem.norm.running_mean.clone())


class Turns(L.Callback):
    """The task of every step's batch."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, *_: Any) -> None:
        self.seen.append(task_of(batch))


@pytest.mark.parametrize("of", [None, "segmentation"])
@pytest.mark.parametrize(("until", "num_moving"), [(0.5, 3), (1.0, 6)])
def test_statistics_move_by_the_images_of_a_task_up_to_a_share_of_the_steps(
    until: float, num_moving: int, of: str | None, tiny: Callable[[str], Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    names = [f"segmentation/{number}" for number in range(12)]
    words = [
        f"class_names={('detection/cat', 'detection/owl', *names)}", f"task.norms_until={until}",
        f"task.norms_of={of!r}", 'data.shares={"detection":0.5,"segmentation":0.5}',
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
        "data.parts.segmentation.ignore_ids=()", "task.tasks.segmentation.loss.class_weights=None",
        "data.parts.segmentation.augmentation.crop_size=(64,64)", "model.image_size=(64,96)",
        "model.weights=None", "trainer.max_steps=6", "trainer.limit_val_batches=0", "data.batch_size=2",
        "data.num_workers=0",
    ]  # fmt: skip
    experiment, files = load_experiment(find_config("street_v2"), words)
    means, turns = Means(), Turns()
    watched = replace(experiment, trainer={**experiment.trainer, "callbacks": [means, turns]})
    fit(watched, tmp_path / "run", files, words)
    assert set(turns.seen[:3]) == set(turns.seen[3:]) == {"detection", "segmentation"}
    moved = [not torch.equal(a, b) for a, b in zip(means.seen, means.seen[1:], strict=False)]
    teaches = [of in (None, turn) for turn in turns.seen]
    assert moved == [number < num_moving and teaches[number] for number in range(1, 6)]
    said = f"{(num_moving + 1) // 2} batches move the BatchNorm statistics, which need 133 at"
    assert (said in caplog.text) == (of is not None), "three steps of the map from random weights are too few"


def test_enough_batches_need_no_word() -> None:
    norms = SharedNorms(
        nn.Sequential(nn.BatchNorm2d(3, momentum=0.1), nn.BatchNorm2d(3, momentum=0.5)), "map"
    )
    assert norms.lag(40) is None and "need 40 at their momentum of 0.1" in (norms.lag(39) or "")
