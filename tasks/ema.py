"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

TRAINED = "trained_state_dict"
"""Key of a checkpoint for the weights that are trained; ``state_dict`` holds their average."""


class WeightAverage(L.Callback):
    """Keeps the moving average of all weights and BatchNorm statistics; it is scored, saved and kept.

    After each optimizer step ``average += (1 - d) * (weights - average)``, with ``d`` the smaller of
    ``decay`` and (1 + n) / (10 + n) after n steps: a short run isn't held back by its first weights.
    This is TensorFlow's ``ExponentialMovingAverage(decay, num_updates)``, as slim uses it.

    The average is in place while validating and after training. A checkpoint has it as its
    ``state_dict`` and the trained weights beside it, so that a resumed run goes on with both.
    Lightning's own callback knows no warm-up.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.last_step = 0
        self.average_in_place = False
        self.other: dict[str, Tensor] = {}
        """What is not in the model: the average while training, else the trained weights."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        weights = _floats(pl_module)
        loaded = self.other or weights
        self.other = {name: loaded[name].detach().to(value, copy=True) for name, value in weights.items()}
        self.last_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_step == self.last_step:  # gradients are still being accumulated
            return
        self.last_step = trainer.global_step
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        weights = _floats(pl_module)
        with torch.no_grad():
            torch._foreach_lerp_([self.other[name] for name in weights], list(weights.values()), 1 - decay)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and self.other:
            self._swap(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and self.average_in_place:
            self._swap(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._swap(pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (
            self.other and not self.average_in_place
        ):  # resumed after the last step: training neither began nor ended
            self._swap(pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"num_updates": self.num_updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.num_updates = state_dict["num_updates"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        in_place = checkpoint["state_dict"]
        beside = {**in_place, **self.other}
        average, trained = (in_place, beside) if self.average_in_place else (beside, in_place)
        checkpoint["state_dict"], checkpoint[TRAINED] = average, trained

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if TRAINED in checkpoint:  # else the run began without an average, which starts here
            self.other = {name: checkpoint["state_dict"][name].clone() for name in _floats(pl_module)}
            pl_module.load_state_dict(checkpoint[TRAINED])

    def _swap(self, pl_module: L.LightningModule) -> None:
        self.average_in_place = not self.average_in_place
        with torch.no_grad():
            for name, value in _floats(pl_module).items():
                kept = value.clone()
                value.copy_(self.other[name])
                self.other[name].copy_(kept)


def _floats(module: L.LightningModule) -> dict[str, Tensor]:
    """Weights and statistics by name; counters are not averaged."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def set_beside(checkpoint: dict[str, Any], part: str) -> None:
    """Move the tensors of a task's ``part`` to a key of its name: what stays are the model's alone."""
    checkpoint[part] = {
        key: {
            name: checkpoint[key].pop(name) for name in list(checkpoint[key]) if name.startswith(f"{part}.")
        }
        for key in ("state_dict", TRAINED)
        if key in checkpoint
    }


def put_back(checkpoint: dict[str, Any], part: str) -> None:
    """Undo :func:`set_beside`, if it was done."""
    for key, tensors in checkpoint.get(part, {}).items():
        checkpoint[key] |= tensors
