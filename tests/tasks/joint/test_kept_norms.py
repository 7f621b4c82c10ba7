"""Covers tasks/joint/task.py: BatchNorm statistics of the backbone are kept from some step on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from pocketvision.core.command import find_config
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.fit import fit


class Means(L.Callback):
    """A running mean of the backbone after every step."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.seen.append(pl_module.model.backbone.stem.norm.running_mean.clone())


@pytest.mark.parametrize(("until", "num_moving"), [(0.5, 3), (1.0, 6)])
def test_statistics_move_up_to_a_share_of_the_steps(
    until: float, num_moving: int, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    names = [f"segmentation/{number}" for number in range(12)]
    words = [
        f"class_names={('detection/cat', 'detection/owl', *names)}", f"task.norms_until={until}",
        f"data.parts.detection.root={tiny('coco')}", f"data.parts.segmentation.root={tiny('masks')}",
        "data.parts.segmentation.ignore_ids=()", "task.tasks.segmentation.loss.class_weights=None",
        "data.parts.segmentation.augmentation.crop_size=(64,64)", "model.image_size=(64,96)",
        "model.weights=None", "trainer.max_steps=6", "trainer.limit_val_batches=0", "data.batch_size=2",
        "data.num_workers=0",
    ]  # fmt: skip
    experiment, files = load_experiment(find_config("street_v2"), words)
    means = Means()
    watched = replace(experiment, trainer={**experiment.trainer, "callbacks": [means]})
    fit(watched, tmp_path / "run", files, words)
    moved = [not torch.equal(a, b) for a, b in zip(means.seen, means.seen[1:], strict=False)]
    assert moved == [number < num_moving for number in range(1, 6)]
