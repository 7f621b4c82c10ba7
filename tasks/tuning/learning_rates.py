"""The range of learning rates in which a model learns: a short training whose rate rises at every step.

As in arXiv:1506.01186, sec. 3.3, with the rate rising by a factor. Nothing of that training is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.files import replacing
from pocketvision.datasets.data_module import AnyData
from pocketvision.runs.build import build, refusing_bad_values
from pocketvision.tasks.accumulation import num_accumulated
from pocketvision.tasks.base import AnyTask, NonFiniteLossError, VisionTask
from pocketvision.tasks.curves import smooth
from pocketvision.tasks.lightning_data import for_lightning
from pocketvision.tasks.named_parts import with_callbacks
from pocketvision.tasks.trainer import make_trainer, quiet_lightning
from pocketvision.tasks.tuning.trial import only_warnings

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
_DIVERGED = 4.0
"""Times the lowest loss, smoothed: then the rates above are of no interest."""
_SKIPPED = 10
"""Steps until a smoothed loss says something."""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RateRange:
    """Rates (T,) as ``task.optimizer.lr`` states them, and the loss (T,) of a step with each, also smoothed.

    ``suggestion`` is the rate at which the smoothed loss falls fastest; None where it does not fall.
    """

    rates: _Floats
    losses: _Floats
    smoothed: _Floats
    suggestion: float | None


class RisingRate(L.Callback):
    """Sets the rate of every step, from ``lowest`` to ``highest``, and ends where the loss has grown.

    Parts of the model keep the shares of the rate that the task gives them, which Lightning's own finder
    sets to 1. ``stated`` is the rate of the config.
    """

    def __init__(self, stated: float, lowest: float, highest: float, steps: int) -> None:
        self.stated = stated
        self.planned = np.geomspace(lowest, highest, steps)
        self.losses: list[float] = []

    def __repr__(self) -> str:
        return "RisingRate()"

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        rate = self.planned[min(len(self.losses), len(self.planned) - 1)]
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = float(group["initial_lr"] * rate / self.stated)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, VisionTask)
        if pl_module.num_skipped:
            trainer.should_stop = True
            return
        self.losses.append(pl_module.last_loss)
        smoothed = smooth(np.array(self.losses))
        is_growing = len(self.losses) > _SKIPPED and smoothed[-1] > _DIVERGED * smoothed[_SKIPPED:].min()
        trainer.should_stop = trainer.should_stop or bool(is_growing)


def find_rates(experiment: Experiment, read: AnyData | None = None) -> RateRange:
    """Train for ``STEPS`` steps at rising rates, with a model that is thrown away.

    ``read`` is as for :func:`~pocketvision.runs.build.build`.

    Raises:
        InputError: the data or a value of the config is unfit, or the optimizer has no learning rate.
    """
    quiet_lightning()
    rising = RisingRate(stated_rate(experiment), LOWEST, HIGHEST, STEPS)
    options = {
        **{key: value for key, value in experiment.trainer.items() if key != "callbacks"},
        "max_steps": STEPS, "max_epochs": -1, "limit_val_batches": 0, "logger": False,
    }  # fmt: skip
    short = with_callbacks(replace(experiment, trainer=options), [rising])
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=True, read=read)
    with refusing_bad_values():
        task: AnyTask = experiment.task(model=model)
    with TemporaryDirectory() as scratch, only_warnings():
        trainer, _ = make_trainer(short, task, Path(scratch))
        with suppress(NonFiniteLossError):  # the rates until then are what is wanted
            trainer.fit(task, datamodule=for_lightning(data, num_accumulated(options)))
    return rate_range(rising.planned, rising.losses)


def stated_rate(experiment: Experiment) -> float:
    """The config's learning rate.

    Raises:
        InputError: it has none that is a number above 0.
    """
    stated = parameters(parameters(experiment.task).get("optimizer")).get("lr")
    if not isinstance(stated, int | float) or not stated > 0:
        raise InputError(f"task.optimizer.lr is {stated!r}: give a number above 0.")
    return float(stated)


def rate_range(planned: _Floats, losses: Sequence[float]) -> RateRange:
    """What the losses (T,) of the first ``planned`` rates say, T at least 0."""
    rates, values = planned[: len(losses)], np.array(losses, dtype=np.float64)
    smoothed = smooth(values)
    until = int(smoothed.argmin()) + 1 if len(values) else 0
    if until < _SKIPPED + 2:
        return RateRange(rates, values, smoothed, None)
    slopes = np.gradient(smoothed[:until])[_SKIPPED:]
    steepest = int(slopes.argmin())
    falls = math.isfinite(slopes[steepest]) and slopes[steepest] < 0
    return RateRange(rates, values, smoothed, float(rates[_SKIPPED + steepest]) if falls else None)


def plot_rates(found: RateRange, stated: float, output: Path) -> None:
    """Draw loss against rate, with the suggestion and the config's own rate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, alpha=0.3, color="C0", label="loss of a step")
    axes.plot(found.rates, found.smoothed, color="C0", label="smoothed")
    for rate, color, label in ((found.suggestion, "C3", "suggested"), (stated, "gray", "the config's")):
        if rate is not None:
            axes.axvline(rate, color=color, linestyle="--", label=f"{label}: {rate:.2g}")
    if len(found.losses):
        axes.set_ylim(0, 1.1 * found.losses[: _SKIPPED + 1].max())
    axes.set_xscale("log")
    axes.set_xlabel("task.optimizer.lr")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(output) as temporary:
        figure.savefig(temporary, format="png")
