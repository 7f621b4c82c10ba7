"""RMSProp as TensorFlow computes it, with which all MobileNets were published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT


class RMSpropTF(Optimizer):
    """RMSProp with momentum, as documented for ``tf.compat.v1.train.RMSPropOptimizer``.

    For each weight w with gradient g (plus ``weight_decay`` * w, which is TensorFlow's
    ``l2_regularizer``), with s starting at 1 and m at 0::

        s = alpha * s + (1 - alpha) * g**2
        m = momentum * m + lr * g / sqrt(s + eps)
        w = w - m

    ``torch.optim.RMSprop`` differs in three places: it starts s at 0, adds ``eps`` outside the root
    and applies the learning rate to m when it updates w, so that a change of the rate also changes
    the steps that m remembers. At the ``eps`` of up to 1.0 that the published recipes use these are
    different optimizers.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.01,
        alpha: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": weight_decay,
        }  # fmt: skip
        for name, value in defaults.items():
            below_one = name in ("alpha", "momentum")
            if value < 0 or (below_one and value >= 1):
                limit = "from 0 to below 1" if below_one else "from 0 up"
                raise ValueError(f"{name} is {value!r}: give a number {limit}.")
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._update(weights, group)
        return loss

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """One step of a group; each line does all of its tensors at once."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "square_avg": torch.ones_like(weight),
                    "momentum_buffer": torch.zeros_like(weight),
                }
        square_avg = [self.state[weight]["square_avg"] for weight in weights]
        momentum_buffer = [self.state[weight]["momentum_buffer"] for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(square_avg, group["alpha"])
        torch._foreach_addcmul_(square_avg, gradients, gradients, 1 - group["alpha"])
        roots = torch._foreach_add(square_avg, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momentum_buffer, group["momentum"])
        torch._foreach_addcdiv_(momentum_buffer, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, momentum_buffer)
