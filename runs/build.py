"""Call an experiment's partials in the right order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.datasets.base_modules import tiling_of_options
from pocketvision.datasets.data_module import AnyData
from pocketvision.models import JointModel, VisionModel
from pocketvision.published.load import is_published_name, load_weights, look_at_weights

_Part = TypeVar("_Part")


@contextmanager
def refusing_bad_values() -> Iterator[None]:
    """Turn what a part says of an unfit value into one sentence.

    Raises:
        InputError: anything that is raised because of a value in the config.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"The config can't be used: {text} (check the overrides; --print-config shows all)"
        ) from error


def build(
    experiment: Experiment, *, pretrained: bool, read: AnyData | None = None
) -> tuple[VisionModel, AnyData]:
    """The model and the data module of an experiment, connected: names one way, resizing the other.

    ``pretrained`` loads the model's ``weights``; False leaves them out, for others that come afterwards.
    The data module gets the experiment's seed unless the config states its own. What ``read``, another one
    of the same data, has read is not read again.

    Raises:
        InputError: a value of the config is refused by the part that it is for.
    """
    with refusing_bad_values():
        data: AnyData = with_seed(experiment.data, experiment.seed)()
        if read is not None:
            data.reuse(read)
        names = data.class_names() if experiment.class_names is None else experiment.class_names
        names = (names,) if isinstance(names, str) else tuple(names)
        model = build_model(experiment, names)
        weights = parameters(experiment.model).get("weights")
        sources = sources_of(weights)
        if len(sources) > 1 and not isinstance(model, JointModel):
            raise ValueError("several model.weights are for a model of several tasks: give one.")
        for source in reversed(sources) if pretrained else ():
            load_weights(model, source)
        data.connect(class_names=names, resize=model.resize)
    return model, data


def sources_of(weights: Any) -> list[str | Path]:
    """Where weights come from: one place, or one for each of several tasks. The first gives the backbone."""
    if weights is None:
        return []
    return list(weights) if isinstance(weights, list | tuple) else [weights]


def look_at_start(experiment: Experiment) -> None:
    """Look at the weights that an experiment starts from, before data are read or steps are timed.

    Raises:
        InputError: they are missing, broken or of another architecture.
    """
    weights = parameters(experiment.model).get("weights")
    if weights is None or is_published_name(weights):
        return
    try:
        with torch.device("meta"):
            model = build_model(experiment, ("any",))
    except Exception:  # somebody's model may need more; what is wrong is said where it is built
        return
    look_at_weights(model, weights)


def build_model(experiment: Experiment, class_names: tuple[str | None, ...]) -> VisionModel:
    """The model of an experiment without weights: :func:`load_weights` takes more than a backbone's.

    It knows the tiles that its data are shown in, as whoever predicts with it needs them.
    """
    without = {"weights": None} if "weights" in parameters(experiment.model) else {}
    model: VisionModel = experiment.model(class_names, **without)
    tiling = tiling_of_options(parameters(experiment.data))
    if tiling is not None:
        model.resize = replace(model.resize, tiling=tiling)
    return model


def refuse_several_tasks(experiment: Experiment, what: str, instead: str) -> None:
    """Refuse a config whose data are of several tasks where ``what`` is for one; says what to do ``instead``.

    Raises:
        InputError: it is such a config.
    """
    if "parts" in parameters(experiment.data):
        raise InputError(f"{what} is for one task, and this config has several: {instead}.")


def with_seed(part: Callable[..., _Part], seed: int) -> Callable[..., _Part]:
    """``part`` with ``seed``, if it has such an argument and does not state it."""
    stated = part.keywords if isinstance(part, partial) else {}
    return partial(part, seed=seed) if "seed" in parameters(part) and "seed" not in stated else part
