"""Where a training is, as checkpoints keep it."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from pocketvision.core.command import find_config
from pocketvision.core.errors import StoppedError
from pocketvision.core.resize import Resize
from pocketvision.datasets import ShapesDetectionDataModule
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.fit import fit, resume
from pocketvision.tasks.lightning_data import for_lightning

SMALL = [
    "data.num_train=24", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "checkpoint_minutes=0",
]  # fmt: skip


def trainer(num_batches: int) -> Any:
    progress = SimpleNamespace(current=SimpleNamespace(processed=num_batches))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    return SimpleNamespace(fit_loop=loop, num_training_batches=3, current_epoch=1, max_epochs=4)


def order(data: Any) -> list[int]:
    data.connect(data.class_names(), Resize((64, 64)))
    loader = data.train_dataloader()
    return [int(target.image_id) for batch in loader for target in batch.targets]


def test_another_process_goes_on_where_one_stopped() -> None:
    whole = for_lightning(ShapesDetectionDataModule(6, 2, 64, batch_size=2, num_workers=0), 1)
    whole.data.start_at(1, 0)
    images = order(whole.data)
    for done in (1, 2):
        whole.trainer = trainer(done)
        state = whole.state_dict()
        other = for_lightning(ShapesDetectionDataModule(6, 2, 64, batch_size=1, num_workers=0), 1)
        other.load_state_dict(state)
        assert state == {"epoch": 1, "num_samples": 2 * done} and order(other.data) == images[2 * done :]
    whole.trainer = trainer(3)
    assert whole.state_dict() == {"epoch": 2, "num_samples": 0}


def test_checkpoints_of_version_0_1_have_its_name() -> None:
    """Lightning keeps and finds the state under the name of the object's class."""
    data = ShapesDetectionDataModule(2, 2, 64, num_workers=0)
    assert type(for_lightning(data, 1)).__qualname__ == "ShapesDetectionDataModule"


@pytest.mark.parametrize("is_old", [False, True])
def test_a_run_of_version_0_1_with_accumulation_goes_on_where_it_was(is_old: bool, tmp_path: Path) -> None:
    """It counted parts as batches: after four of twelve, the epoch of six batches ended two later."""
    words = [*SMALL, "trainer.max_steps=8", "trainer.accumulate_grad_batches=2"]
    experiment, _ = load_experiment(find_config("quickstart"), words)

    class Stop(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
            if trainer.global_step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    stopped = replace(experiment, trainer={**experiment.trainer, "callbacks": [Stop()]})
    run = tmp_path / "run"
    with pytest.raises(StoppedError, match="at step 2"):
        fit(stopped, run, [find_config("quickstart")], words)
    last = run / "checkpoints" / "last.ckpt"
    if is_old:
        checkpoint = torch.load(last, weights_only=True)
        counts = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
        assert counts == {"ready": 2, "started": 2, "processed": 2, "completed": 1}
        counts.update(ready=4, started=4, processed=4, completed=3)
        torch.save(checkpoint, last)
    assert resume(run) is not None
    with (run / "metrics.csv").open(newline="") as file:
        epochs = [int(float(row["epoch"])) for row in csv.DictReader(file) if row["train/loss"]]
    assert epochs == [0] * 6 + [1] * 2
