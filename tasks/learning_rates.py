"""The learning rate of every step, and of every part of a model."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor, nn

Schedule = Literal["cosine", "poly", "step", "constant"]


def lr_factor(
    step: int,
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
    model: nn.Module, backbone_lr_factor: float, layer_decay: float, *, decay_depthwise: bool
) -> list[dict[str, Any]]:
    """Groups for an optimizer, with ``lr_factor``: the share of the learning rate.

    Norms and biases are not decayed, nor are depthwise convolutions without ``decay_depthwise``. The
    backbone has ``backbone_lr_factor``, times ``layer_decay`` for every block above; the stem is below all.
    """
    spared = set() if decay_depthwise else depthwise_weights(model)
    num_blocks = 1 + max((_block(name) for name, _ in model.named_parameters()), default=0)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = 1.0
        if name.startswith("backbone.") and ".extra_blocks." not in f".{name}":
            factor = backbone_lr_factor * layer_decay ** (num_blocks - 1 - _block(name, num_blocks - 1))
        groups.setdefault((parameter.ndim > 1 and parameter not in spared, factor), []).append(parameter)
    return [
        {"params": members, "lr_factor": factor, **({} if decayed else {"weight_decay": 0.0})}
        for (decayed, factor), members in groups.items()
    ]


def _block(name: str, other: int = -1) -> int:
    """Number of the block that a parameter is of; -1 in the stem, ``other`` elsewhere."""
    parts = name.split(".")
    if "blocks" in parts:
        return int(parts[parts.index("blocks") + 1])
    return -1 if "stem" in parts else other


def depthwise_weights(model: nn.Module) -> set[Tensor]:
    """Weights of the depthwise convolutions."""
    return {
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
    }
