"""What one backbone for several heads saves."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvision.core.structures import Size
from pocketvision.costs.measure import Cost, measure_cost
from pocketvision.models import JointModel


@dataclass(frozen=True)
class Sharing:
    """Cost of one forward pass of a :class:`JointModel`, and of each of its parts by task, alone.

    A part alone has the shared backbone to itself.
    """

    joint: Cost
    alone: dict[str, tuple[int, int]]
    """Task -> (parameters, multiply-adds)."""

    @property
    def share_of_madds(self) -> float:
        """Multiply-adds of the joint pass, relative to the sum of the parts alone."""
        return self.joint.madds / sum(madds for _, madds in self.alone.values())

    @property
    def share_of_params(self) -> float:
        """Parameters, likewise."""
        return self.joint.params / sum(params for params, _ in self.alone.values())


def measure_sharing(model: JointModel, image_size: Size, joint: Cost) -> Sharing:
    """The costs of the parts of ``model`` beside the ``joint`` cost of the whole.

    Raises:
        ValueError: as :func:`measure_cost`.
    """
    channels = model.resize.pixels.channels
    alone = {}
    for task in model.tasks:
        cost = measure_cost(model.alone(task), image_size, in_channels=channels)
        alone[task] = cost.params, cost.madds
    return Sharing(joint, alone)
