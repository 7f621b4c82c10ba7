"""The time of a network from the times of its units, measured at a few widths each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvision.backbones.widths import Widths
from pocketvision.core.errors import InputError
from pocketvision.deploy.latency.units import Unit

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LatencyModel:
    """Widths -> seconds: the sum of the units, each interpolated between its points, and a constant.

    The constant stands for what lies between layers; it is fitted to whole networks.
    """

    units: Sequence[Unit]
    values: Sequence[_Array]
    constant: float = 0.0

    def __call__(self, widths: Widths) -> float:
        return self.constant + sum(self.of_unit(number, widths) for number in range(len(self.units)))

    def of_unit(self, number: int, widths: Widths) -> float:
        """Seconds of one unit."""
        unit = self.units[number]
        return _interpolate(
            unit.axes, self.values[number], [widths[block][part] for block, part in unit.places]
        )


def latency_model(
    units: Sequence[Unit], seconds: Mapping[str, float], nets: Sequence[tuple[Widths, str]]
) -> LatencyModel:
    """A model from a table of ``seconds``, with its constant fitted to ``nets``: widths and keys.

    Raises:
        InputError: the table lacks a unit or network.
    """
    bare = without_constant(units, seconds)
    differences = [look_up(seconds, key) - bare(widths) for widths, key in nets]
    return replace(bare, constant=float(np.mean(differences)))


def without_constant(units: Sequence[Unit], seconds: Mapping[str, float]) -> LatencyModel:
    """The sum of units alone, from a table of ``seconds``.

    Raises:
        InputError: the table lacks a unit.
    """
    values = [
        np.array([look_up(seconds, unit.key(point)) for point in unit.points()]).reshape(
            [len(axis) for axis in unit.axes]
        )
        for unit in units
    ]
    return LatencyModel(units, values)


def look_up(seconds: Mapping[str, float], key: str) -> float:
    """What a table says of ``key``.

    Raises:
        InputError: nothing.
    """
    if key not in seconds:
        raise InputError(
            f"The table of latencies has no '{key}': it is of another model, image size or version; "
            "measure it again."
        )
    return seconds[key]


def _interpolate(axes: Sequence[Sequence[int]], values: _Array, at: Sequence[int]) -> float:
    """Between the nearest points along each axis in turn; beyond the last, along the last line."""
    for axis, width in zip(axes, at, strict=True):
        if len(axis) == 1:
            values = values[0]
            continue
        low = int(np.clip(np.searchsorted(axis, width, side="right") - 1, 0, len(axis) - 2))
        share = (width - axis[low]) / (axis[low + 1] - axis[low])
        values = values[low] * (1 - share) + values[low + 1] * share
    return float(values)
