"""Whole pictures in memory while their tiles are read: the rest of a JPEG can't be passed over."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pocketvision.datasets.images.read import Reading

MAX_BYTES = 256 << 20
"""Of the pictures that one process holds; a larger one is held alone."""


class DecodedPictures:
    """The pictures that were read last, by name, up to ``max_bytes``: those before are decoded again."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[str, Reading] = OrderedDict()
        self._num_bytes = 0

    def load(self, name: str, decode: Callable[[], Reading]) -> Reading:
        """The picture ``name``, or what ``decode`` gives, held from then on; raises what it raises."""
        found = self._held.get(name)
        if found is not None:
            self._held.move_to_end(name)
            return found
        reading = decode()
        self._num_bytes += reading.pixels.nbytes
        while self._held and self._num_bytes > self.max_bytes:
            self._num_bytes -= self._held.popitem(last=False)[1].pixels.nbytes
        self._held[name] = reading
        return reading
