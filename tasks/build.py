"""Call an experiment's partials in the right order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.models import VisionModel


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


def build(experiment: Experiment, *, pretrained: bool) -> tuple[VisionModel, Any]:
    """The model and the data module of an experiment, connected: names one way, resizing the other.

    ``pretrained`` False leaves out the model's ``weights``, for weights that are loaded afterwards.
    The data module gets the experiment's seed unless the config states its own.

    Raises:
        InputError: a value of the config is refused by the part that it is for.
    """
    with refusing_bad_values():
        data = with_seed(experiment.data, experiment.seed)()
        names = data.class_names() if experiment.class_names is None else experiment.class_names
        names = (names,) if isinstance(names, str) else tuple(names)
        without = {} if pretrained or "weights" not in parameters(experiment.model) else {"weights": None}
        model: VisionModel = experiment.model(names, **without)
        data.connect(class_names=names, resize=model.resize)
    return model, data


def with_seed(part: Any, seed: int) -> Any:
    """``part`` with ``seed``, if it has such an argument and does not state it."""
    stated = part.keywords if isinstance(part, partial) else {}
    return partial(part, seed=seed) if "seed" in parameters(part) and "seed" not in stated else part
