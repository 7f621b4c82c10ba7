"""What of a model does not learn."""

from __future__ import annotations

from torch import nn

from pocketvision.core import layers
from pocketvision.core.protocols import HasLayers, body_of
from pocketvision.models import VisionModel


def freeze(model: VisionModel, feature: str) -> None:
    """Stop what ``feature`` of the model's backbone is computed by from learning, statistics included."""
    body = body_module(model)
    if not isinstance(body, HasLayers):
        raise ValueError(
            f"freeze_until is {feature!r}, but a {type(body).__name__} has no layers_until(): leave it out."
        )
    for layer in body.layers_until(feature):
        layer.requires_grad_(False)
        layers.freeze_norms(layer)


def body_module(model: VisionModel) -> nn.Module:
    """The backbone without what it is wrapped in."""
    body = body_of(model.backbone)
    assert isinstance(body, nn.Module)
    return body
