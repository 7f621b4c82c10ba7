"""What of a model does not learn."""

from __future__ import annotations

from torch import nn

from pocketvision.core import layers
from pocketvision.core.protocols import body_of
from pocketvision.models import VisionModel
from pocketvision.tasks.learning_rates import layers_until


def freeze(model: VisionModel, feature: str) -> None:
    """Stop what ``feature`` of the model's backbone is computed by from learning, statistics included."""
    for layer in layers_until(model, feature):
        layer.requires_grad_(False)
        layers.freeze_norms(layer)


def body_module(model: VisionModel) -> nn.Module:
    """The backbone without what it is wrapped in."""
    body = body_of(model.backbone)
    assert isinstance(body, nn.Module)
    return body


def freeze_parts(model: VisionModel, feature: str | None, *, norms: bool) -> None:
    """Freeze what computes ``feature``, if it is one, and the statistics of the backbone's BatchNorm."""
    if feature is not None:
        freeze(model, feature)
    if norms:
        layers.freeze_norms(body_module(model))
