"""The network that is adapted: how it is built with other widths, and described."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.backbones.widths import Widths, widths_of
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.models import JointModel, SingleModel
from pocketvision.runs.build import build, build_model
from pocketvision.runs.passport import make_passport
from pocketvision.tasks.adapt.result import AdaptedSource


class AdaptedNetwork:
    """A source's model with its weights, and its data; ``widths`` are those that it has.

    Raises:
        InputError: its config can't be given widths, or its model has none that change.
    """

    def __init__(self, source: AdaptedSource) -> None:
        if "widths" not in parameters(source.experiment.model):
            raise InputError(
                f"The model of {source.files[0].name} has no argument widths: take it and hand it to the "
                "backbone, as the config ssdlite_v2_bccd does."
            )
        self.experiment = source.experiment
        model, self.data = build(source.experiment, pretrained=True)
        if isinstance(model, JointModel):
            raise InputError("A model of several tasks can't be adapted: choose a run of one.")
        self.model: SingleModel = model
        self.widths = widths_of(adaptable_body(model.backbone).architecture)

    def build(self, widths: Widths) -> SingleModel:
        """The model with other widths, without weights."""
        model = build_model(self.with_widths(widths), self.model.class_names)
        assert not isinstance(model, JointModel)
        return model

    def with_widths(self, widths: Widths) -> Experiment:
        """The experiment with these widths."""
        return replace(self.experiment, model=partial(self.experiment.model, widths=tuple(widths)))

    def passport(self, model: SingleModel, widths: Widths) -> dict[str, Any]:
        """What a weights file of ``model`` says."""
        return make_passport(model, self.with_widths(widths))
