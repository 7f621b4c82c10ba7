"""Call an experiment's partials in the right order."""

from __future__ import annotations

from typing import Any

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.models import VisionModel


def build(experiment: Experiment, *, pretrained: bool) -> tuple[VisionModel, Any]:
    """The model and the data module of an experiment, connected: names one way, resizing the other.

    ``pretrained`` False leaves out the model's ``weights``, for weights that are loaded afterwards.

    Raises:
        InputError: a value of the config is refused by the part that it is for.
    """
    try:
        data = experiment.data()
        names = data.class_names() if experiment.class_names is None else tuple(experiment.class_names)
        without = {} if pretrained or "weights" not in parameters(experiment.model) else {"weights": None}
        model: VisionModel = experiment.model(names, **without)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"The config can't be built: {error}") from error
    data.connect(class_names=names, resize=model.resize)
    return model, data
