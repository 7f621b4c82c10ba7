"""Whose images the running statistics of a shared backbone are of, and until when they move."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from pocketvision.core.layers import NORMS, freeze_norms, settle_frozen_norms
from pocketvision.core.structures import BOTH

_TIME_CONSTANTS = 4.0
"""After these, two per cent are left of what an average began with."""


class SharedNorms:
    """Statistics of the BatchNorms in ``body``, of the images of the task ``of``; None: of all.

    In training a BatchNorm normalizes a batch, of one task's images, by itself, so a head learns on features
    that are centered on its own data (mixed batches aside). What is scored has one set of statistics for all
    tasks: where these are of several data sets, they fit none.
    """

    def __init__(self, body: nn.Module, of: str | None) -> None:
        self.body, self.of, self.is_kept = body, of, False
        self._moving: bool | None = None
        self._momenta = [(layer, layer.momentum) for layer in body.modules() if isinstance(layer, NORMS)]

    def lag(self, num_batches: float) -> str | None:
        """What to say if so few batches move the statistics that what they began with is left in them."""
        slowest = min((momentum for _, momentum in self._momenta if momentum is not None), default=1.0)
        if self.of is None or num_batches * slowest >= _TIME_CONSTANTS:
            return None
        return (
            f"task.norms_of={self.of}: {num_batches:.0f} batches move the BatchNorm statistics, which need "
            f"{_TIME_CONSTANTS / slowest:.0f} at their momentum of {slowest:g}, so scores will be low: train "
            "longer, raise model.norm_momentum if the model has it, or leave task.norms_of out."
        )

    def turn(self, task: str) -> None:
        """Let the next batch, of ``task``, move the statistics if they are of its images."""
        moves = self.of is None or task in (self.of, BOTH)
        if moves != self._moving:
            for layer, momentum in self._momenta:
                layer.momentum = momentum if moves else 0.0
            self._moving = moves

    def keep(self) -> None:
        """Normalize by the statistics from now on, and let them rest."""
        if not self.is_kept:
            freeze_norms(self.body)
            settle_frozen_norms(self.body)
            self.is_kept = True


def check_norms(of: str | None, until: float, tasks: Collection[str]) -> None:
    """See that the options of a model for ``tasks`` make sense.

    Raises:
        ValueError: the model is not for the task ``of``, or ``until`` is no share.
    """
    if not 0 < until <= 1:
        raise ValueError(f"task.norms_until is {until!r}: give a share above 0, at most 1.")
    if of is not None and of not in tasks:
        raise ValueError(f"task.norms_of is {of!r}: the model is for {', '.join(tasks)}.")
