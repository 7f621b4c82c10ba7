"""The network that is adapted: how it is built with other widths, and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pocketvision.backbones.forms import Forms, forms_of
from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.models import JointModel, SingleModel
from pocketvision.runs.build import build, build_model
from pocketvision.runs.passport import make_passport
from pocketvision.tasks.adapt.result import AdaptedSource


class AdaptedNetwork:
    """A source's model with its weights, and its data; ``widths`` and ``forms`` are those that it has.

    ``changed`` are the arguments that its config's model must take.

    Raises:
        InputError: it does not take them, or the model has no widths that change.
    """

    def __init__(self, source: AdaptedSource, changed: Sequence[str] = ("widths",)) -> None:
        for name in changed:
            if name not in parameters(source.experiment.model):
                raise InputError(
                    f"The model of {source.files[0].name} has no argument {name}: take it and hand it to the "
                    "backbone, as the config ssdlite_v2_bccd does."
                )
        self.experiment = source.experiment
        model, self.data = build(source.experiment, pretrained=True)
        if isinstance(model, JointModel):
            raise InputError("A model of several tasks can't be adapted: choose a run of one.")
        self.model: SingleModel = model
        architecture = adaptable_body(model.backbone).architecture
        self.widths, self.forms = widths_of(architecture), forms_of(architecture)

    def build(self, widths: Widths, forms: Forms | None = None) -> SingleModel:
        """The model with other widths, and other forms if given, without weights."""
        model = build_model(self.changed(widths, forms), self.model.class_names)
        assert not isinstance(model, JointModel)
        return model

    def changed(self, widths: Widths, forms: Forms | None = None) -> Experiment:
        """The experiment with these widths and forms; without ``forms`` they stay."""
        given = {"widths": tuple(widths), **({} if forms is None else {"forms": tuple(map(tuple, forms))})}
        return replace(self.experiment, model=partial(self.experiment.model, **given))

    def passport(self, model: SingleModel, widths: Widths, forms: Forms | None = None) -> dict[str, Any]:
        """What a weights file of ``model`` says."""
        return make_passport(model, self.changed(widths, forms))
