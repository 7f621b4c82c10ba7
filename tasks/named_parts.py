"""Lightning's loggers and callbacks by name, as a command line can give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch.callbacks
import lightning.pytorch.loggers

from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError

_LOGGERS = {"wandb": "WandbLogger", "mlflow": "MLFlowLogger"}
_OWN_LOGGERS = ("csv", "tensorboard")
"""Which every run has."""


def as_list(given: object) -> list[object]:
    """What a trainer option has: nothing, one, or several."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def further_loggers(given: object, folder: Path) -> list[Any]:
    """The loggers that ``trainer.logger`` asks for beside a run's own; names are made ones in ``folder``.

    Raises:
        InputError: a name is unknown, or its package is missing.
    """
    made: list[Any] = []
    for item in as_list(given):
        if not isinstance(item, str):
            made.append(item)
        elif item not in _OWN_LOGGERS:
            made.append(_logger(item, folder))
    return made


def _logger(name: str, folder: Path) -> Any:
    if name not in _LOGGERS:
        known = ", ".join((*_OWN_LOGGERS, *_LOGGERS))
        raise InputError(f"There is no logger '{name}': choose from {known}, or False for none.")
    kind = getattr(lightning.pytorch.loggers, _LOGGERS[name])
    place = {"save_dir": str(folder)}
    if name == "mlflow":  # its newer versions write to a database only
        place = {
            "tracking_uri": f"sqlite:///{folder.resolve() / 'mlflow.db'}",
            "artifact_location": (folder.resolve() / "mlartifacts").as_uri(),
        }
    try:
        return kind(**place)
    except ModuleNotFoundError as error:
        raise InputError(
            f"trainer.logger={name} needs a package: pip install {name}, or leave it out."
        ) from error


def further_callbacks(given: object, metric: str) -> list[Any]:
    """The callbacks that ``trainer.callbacks`` asks for; ``EarlyStopping`` by its name watches ``metric``.

    Raises:
        InputError: a name is another one, or something is no callback.
    """
    made: list[Any] = []
    for item in as_list(given):
        if item == "EarlyStopping":
            made.append(lightning.pytorch.callbacks.EarlyStopping(monitor=metric, mode="max"))
        elif isinstance(item, lightning.pytorch.callbacks.Callback):
            made.append(item)
        else:
            raise InputError(
                f"trainer.callbacks has {item!r}: by name there is EarlyStopping; a config file gives others "
                "as objects of lightning.pytorch.callbacks."
            )
    return made


def with_callbacks(
    experiment: Experiment, callbacks: Sequence[lightning.pytorch.callbacks.Callback]
) -> Experiment:
    """The experiment with ``callbacks`` beside those that its ``trainer`` states."""
    together = [*as_list(experiment.trainer.get("callbacks")), *callbacks]
    return replace(experiment, trainer={**experiment.trainer, "callbacks": together})
