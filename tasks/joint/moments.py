"""What an optimizer remembers of weights that several tasks teach, kept for each task by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

_State = dict[str, Any]


class TaskMoments:
    """An optimizer's state of the weights ``shared``, by their names, one for each task that has turns.

    AdamW divides a gradient by the size of past ones, weight by weight. Where tasks take turns with one such
    size, a task whose gradient on a weight is small moves it hardly at all, and its momentum is that of the
    others. With a state for each, its batches move the weights as they would alone (AdaTask,
    arXiv:2211.15055). Every further task takes as much memory as the optimizer has for ``shared``.
    """

    def __init__(self, shared: Mapping[str, nn.Parameter]) -> None:
        self.shared = dict(shared)
        self.turn: str | None = None
        """The task whose state the optimizer has."""
        self.resting: dict[str, dict[str, _State]] = {}
        """Those of the other tasks, by task and name of the weight."""

    def give(self, optimizer: Optimizer, turn: str) -> None:
        """Let the next step of ``optimizer`` go on from what it remembers of the task ``turn``."""
        if turn == self.turn:
            return
        if self.turn is not None:
            known = {name: weight for name, weight in self.shared.items() if weight in optimizer.state}
            self.resting[self.turn] = {name: optimizer.state.pop(weight) for name, weight in known.items()}
        counts_there = any(x.get("fused") or x.get("capturable") for x in optimizer.param_groups)
        for name, state in self.resting.pop(turn, {}).items():
            weight = self.shared[name]
            optimizer.state[weight] = _placed(state, weight, counts_there=counts_there)
        self.turn = turn

    def state_dict(self) -> dict[str, Any]:
        """All that the optimizer's own does not hold."""
        return {"turn": self.turn, "resting": self.resting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.turn, self.resting = state["turn"], dict(state["resting"])


def _placed(state: _State, weight: nn.Parameter, *, counts_there: bool) -> _State:
    """A state where its ``weight`` is: a checkpoint is read to the CPU, where counts of steps may stay."""
    return {
        name: value.to(weight.device) if isinstance(value, Tensor) and (value.ndim or counts_there) else value
        for name, value in state.items()
    }
