"""The average of the weights: by hand over a real training, in the checkpoints, and through a resume."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from pocketvision.core.weights import read_state_dict
from pocketvision.tasks.ema import TRAINED, WeightAverage

State = dict[str, Tensor]


class Net(L.LightningModule):
    """A layer and a BatchNorm that keep a history of their weights."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        for parameter in self.layers.parameters():
            nn.init.normal_(parameter, generator=generator)
        self.history: list[State] = []
        self.validated: list[State] = []

    def state(self) -> State:
        return {name: value.clone() for name, value in self.state_dict().items()}

    def on_train_start(self) -> None:
        self.history.append(self.state())

    def training_step(self, batch: Any, index: int) -> Tensor:
        return (self.layers(batch[0]) - 1).square().mean()

    def on_train_batch_end(self, *_: Any) -> None:
        self.history.append(self.state())

    def validation_step(self, batch: Any, index: int) -> None:
        self.validated.append(self.state())

    def configure_optimizers(self) -> Any:
        return SGD(self.parameters(), lr=0.05, momentum=0.9)


def fit(folder: Path, epochs: int, resume: Path | None = None, decay: float = 0.5, **options: Any) -> Net:
    net = Net()
    data = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))
    loader = partial(DataLoader, TensorDataset(data))
    checkpoint = L.pytorch.callbacks.ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True)
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[checkpoint, WeightAverage(decay)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(net, loader(batch_size=4), loader(batch_size=12), ckpt_path=resume)
    return net


def average(history: list[State], decay: float) -> State:
    """The documented formula, in float64."""
    result = {name: value.double() for name, value in history[0].items()}
    for n, weights in enumerate(history[1:]):
        d = min(decay, (1 + n) / (10 + n))
        result = {name: d * value + (1 - d) * weights[name].double() for name, value in result.items()}
    return result


def assert_equal(found: State, expected: State) -> None:
    for name, value in expected.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(found[name].double(), value.double(), rtol=1e-5, atol=1e-6)


pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.mark.parametrize("decay", [0.2, 0.9999])
def test_the_average_is_scored_and_kept_and_the_weights_go_on_training(tmp_path: Path, decay: float) -> None:
    net, plain = fit(tmp_path, 4, decay=decay), fit(tmp_path / "plain", 4, decay=0.0)
    assert len(net.history) == 13
    for weights, expected in zip(net.history, plain.history, strict=True):
        assert_equal(weights, expected)
    for epoch, seen in enumerate(net.validated, start=1):
        assert_equal(seen, average(net.history[: 3 * epoch + 1], decay))
    final = average(net.history, decay)
    assert_equal(net.state(), final)
    assert (final["layers.1.running_mean"] - net.history[-1]["layers.1.running_mean"]).abs().max() > 1e-4


def test_a_checkpoint_holds_both(tmp_path: Path) -> None:
    net = fit(tmp_path, 2)
    assert_equal(read_state_dict(tmp_path / "last.ckpt"), average(net.history, 0.5))
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert_equal(content[TRAINED], net.history[-1])


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", 4)
    fit(tmp_path / "broken", 2)
    resumed = fit(tmp_path / "broken", 4, resume=tmp_path / "broken" / "last.ckpt")
    assert_equal(resumed.history[0], whole.history[6])
    assert_equal(resumed.history[-1], whole.history[-1])
    assert_equal(resumed.state(), whole.state())


def test_a_run_resumed_after_its_last_step_has_the_average_too(tmp_path: Path) -> None:
    """Nothing is left to train, so that Lightning says neither that training begins nor that it ends."""
    whole = fit(tmp_path, 2)
    resumed = fit(tmp_path, 2, resume=tmp_path / "last.ckpt")
    assert not resumed.history
    assert_equal(resumed.state(), whole.state())


def test_accumulated_gradients_count_once(tmp_path: Path) -> None:
    net = fit(tmp_path, 2, accumulate_grad_batches=3)
    assert_equal(net.state(), average(net.history[::3], 0.5))
