"""The learning rate of every step, and of every part of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from pocketvision.core.protocols import HasLayers, body_of
from pocketvision.models import VisionModel

Schedule = Literal["cosine", "poly", "step", "constant"]


def lr_factor(
    step: float,
    num_steps: int,
    warmup: int,
    schedule: Schedule,
    decay_rate: float = 1.0,
    decay_steps: int = 1,
) -> float:
    """Learning rate at ``step`` relative to the full one."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "step":
        return float(decay_rate ** (step // decay_steps))
    progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return (1 - progress) ** 0.9 if schedule == "poly" else 1.0


def parameter_groups(
    model: VisionModel,
    backbone_lr_factor: float,
    layer_decay: float,
    *,
    decay_depthwise: bool,
    head_factors: Mapping[Tensor, float] | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimizer, with ``lr_factor``: the share of the learning rate.

    Norms and biases are not decayed, nor are depthwise convolutions without ``decay_depthwise``. The
    innermost backbone has ``backbone_lr_factor``, times ``layer_decay`` for every later group of layers;
    other parameters have theirs of ``head_factors``, or 1.

    Raises:
        ValueError: ``layer_decay`` is below 1, and the backbone does not name its layers.
    """
    spared = set() if decay_depthwise else depthwise_weights(model)
    body = body_of(model.backbone)
    factors = {**(head_factors or {}), **_backbone_factors(body, backbone_lr_factor, layer_decay)}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        factor = factors.get(parameter, 1.0)
        groups.setdefault((parameter.ndim > 1 and parameter not in spared, factor), []).append(parameter)
    return [
        {"params": members, "lr_factor": factor, **({} if decayed else {"weight_decay": 0.0})}
        for (decayed, factor), members in groups.items()
    ]


def _backbone_factors(body: nn.Module, factor: float, layer_decay: float) -> dict[Tensor, float]:
    """The share of the learning rate of every parameter of a backbone."""
    factors: dict[Tensor, float] = dict.fromkeys(body.parameters(), factor)
    if layer_decay == 1:
        return factors
    if not isinstance(body, HasLayers):
        raise ValueError(
            f"layer_decay is {layer_decay:g}, but a {type(body).__name__} has no layer_groups(): set it to 1."
        )
    for depth, group in enumerate(reversed(body.layer_groups())):
        for layer in group:
            factors |= dict.fromkeys(layer.parameters(), factor * layer_decay**depth)
    return factors


def layers_until(model: VisionModel, feature: str) -> list[nn.Module]:
    """The layers of a model's innermost backbone that compute ``feature``, in order.

    Raises:
        ValueError: there is no such feature, or the backbone does not name its layers.
    """
    body = body_of(model.backbone)
    if not isinstance(body, HasLayers):
        raise ValueError(
            f"freeze_until is {feature!r}, but a {type(body).__name__} has no layers_until(): leave it out."
        )
    return body.layers_until(feature)


def can_freeze(model: VisionModel, feature: str) -> bool:
    """Whether the layers until ``feature`` are known."""
    try:
        layers_until(model, feature)
    except ValueError:
        return False
    return True


def depthwise_weights(model: nn.Module) -> set[Tensor]:
    """Weights of the depthwise convolutions."""
    return {
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
    }
