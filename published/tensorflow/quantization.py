"""What a quantized tensor means: real = (stored - zero point) * scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.published.tensorflow.layers import FileArray

StoredValues = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

_SPREADS_PER_RANGE = 16
"""A trained range holds about +-8 standard deviations: it covers the extremes of whole batches."""
_IMMOBILE = 0.25
"""Share of half a step that the standard deviation of an immobile output stays below."""


@dataclass(frozen=True, eq=False)
class TensorQuantization:
    """Scales and zero points (C,) along ``axis``, or (1,) for all; ``limits`` of the stored type."""

    scale: Doubles
    zero_point: Doubles
    axis: int
    limits: tuple[int, int]

    def dequantise(self, stored: StoredValues) -> FileArray:
        """The real numbers of a stored tensor.

        Raises:
            ValueError: there are scales for another number of channels.
        """
        shape = [1] * stored.ndim
        if len(self.scale) > 1:
            shape[self.axis] = len(self.scale)
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        return np.asarray((stored.astype(np.float64) - zero_point) * scale, dtype=np.float32)

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest number that the tensor can hold."""
        low, high = ((limit - self.zero_point[0]) * self.scale[0] for limit in self.limits)
        return float(low), float(high)

    def round(self, values: StoredValues) -> FileArray:
        """Real numbers -> the nearest that the tensor can hold."""
        step = self.scale[0]
        return np.asarray(np.clip(np.round(values / step) * step, *self.range), dtype=np.float32)


def settle(
    kernel: FileArray, bias: FileArray, inputs: TensorQuantization, outputs: TensorQuantization
) -> tuple[FileArray, FileArray]:
    """Make channels constant whose output the quantized model always rounds to the same number.

    TensorQuantization-aware training leaves channels with next to no weights. There the rounding absorbs
    whatever the input does, so the layers after it are free to have huge weights; without rounding
    these amplify what should be nothing (in TensorFlow's ``mobilenet_v3_small`` three of 576 channels
    before a depthwise kernel of 470 cost 6 % of top-1). Such a channel's kernel becomes 0 and its
    bias the number that it rounds to.

    ``kernel`` is (out, in / groups, height, width), ``bias`` (out,).
    """
    low, high = inputs.range
    spread = np.sqrt((kernel.reshape(len(kernel), -1) ** 2).sum(axis=1)) * (high - low) / _SPREADS_PER_RANGE
    immobile = spread < _IMMOBILE * outputs.scale[0] / 2
    return (
        np.where(immobile[:, None, None, None], np.float32(0), kernel),
        np.where(immobile, outputs.round(bias), bias),
    )
