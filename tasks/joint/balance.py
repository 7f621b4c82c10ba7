"""Rules for how much the losses of several tasks count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Rule = Literal["fixed", "moments", "uncertainty", "gradient_norm"]

_MOMENTUM = 0.05
"""What the newest gradient's norm counts in the average of a task's."""


class Balance(nn.Module):
    """Fixed weights, by task: the loss of a batch counts as often as its task's says."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks, self.stated = tuple(weights), dict(weights)

    def weights(self) -> dict[str, float]:
        """What the loss of each task counts now."""
        return dict(self.stated)

    def apply_to(self, losses: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """The losses of a batch of a task, as they count."""
        weight = self.weights()[task]
        return {name: weight * loss for name, loss in losses.items()}

    def learn(self, norms: Mapping[str, Tensor], num_steps: int = 1) -> None:
        """Take notice of norms () of the shared weights' gradient, as the weighed loss of each task has it.

        They stand for so many steps.
        """


class UncertaintyBalance(Balance):
    """Weights exp(-s) with s, the logarithm of a task's variance, learned (arXiv:1705.07115, sec. 3.2).

    What is minimized for a batch is its loss times the stated weight and exp(-s), plus s: alone with s, a
    task's loss would come to count 1. The paper's factors of 1/2 are left out, as they only scale s.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def weights(self) -> dict[str, float]:
        factors = torch.exp(-self.log_variances.detach()).tolist()
        return {task: self.stated[task] * factor for task, factor in zip(self.tasks, factors, strict=True)}

    def apply_to(self, losses: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        log_variance = self.log_variances[self.tasks.index(task)]
        weight = self.stated[task] * torch.exp(-log_variance)
        return {**{name: weight * loss for name, loss in losses.items()}, "log_variance": log_variance}


class GradientNormBalance(Balance):
    """Weights with which every task's gradient on the shared backbone is as long, times the stated ones.

    A task's weight is the geometric mean of all tasks' norms over its own: GradNorm (arXiv:1711.02257) with
    its alpha at 0 and its equation solved instead of descended. A norm is the running average of those that
    the task's batches had, unweighed; until every task had one, the stated weights count.
    """

    norms: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        self.register_buffer("norms", torch.zeros(len(self.tasks)))

    def weights(self) -> dict[str, float]:
        if not bool((self.norms > 0).all()):
            return dict(self.stated)
        factors = (self.norms.log().mean().exp() / self.norms).tolist()
        return {task: self.stated[task] * factor for task, factor in zip(self.tasks, factors, strict=True)}

    def learn(self, norms: Mapping[str, Tensor], num_steps: int = 1) -> None:
        weights, share = self.weights(), 1 - (1 - _MOMENTUM) ** num_steps
        for task, norm in norms.items():
            if bool(torch.isfinite(norm)) and bool(norm > 0):
                number, own = self.tasks.index(task), norm / weights[task]
                known = self.norms[number]
                self.norms[number] = torch.where(known > 0, known + share * (own - known), own)


def make_balance(rule: Rule, weights: Mapping[str, float]) -> Balance:
    """A rule by its name, from stated ``weights``.

    Raises:
        ValueError: there is no such rule, or ``moments`` with weights that differ.
    """
    rules = {
        "fixed": Balance,
        "moments": Balance,
        "uncertainty": UncertaintyBalance,
        "gradient_norm": GradientNormBalance,
    }
    if rule not in rules:
        raise ValueError(f"task.balance is {rule!r}: choose from {', '.join(get_args(Rule))}.")
    if rule == "moments" and len(set(weights.values())) > 1:
        raise ValueError(
            "task.balance=moments divides each task's gradients by their own size, which no weight changes: "
            "leave task.loss_weights out, or choose another balance."
        )
    return rules[rule](weights)
