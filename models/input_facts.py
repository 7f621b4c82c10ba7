"""The facts that every weights file states, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from pocketvision.core.layers import Normalize, SameConv2d
from pocketvision.core.resize import Resize


def describe_inputs(
    model: nn.Module, class_names: Sequence[str | None], normalize: Normalize, resize: Resize
) -> dict[str, Any]:
    """Classes, normalization, resizing, padding and BatchNorm epsilons, as JSON has them."""
    return {
        "class_names": list(class_names),
        "mean": (normalize.mean.flatten() / 255).tolist(),
        "std": (normalize.std.flatten() / 255).tolist(),
        "resize": resize.facts(),
        "padding": "same" if any(isinstance(m, SameConv2d) for m in model.modules()) else "torch",
        "norm_eps": norm_eps(model),
    }


def norm_eps(module: nn.Module) -> list[float]:
    """The epsilons of the BatchNorms inside, each once, smallest first."""
    return sorted({layer.eps for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)})
