"""Whole pictures are decoded once while their tiles are read, and no more are held than may be."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.read import Reading
from pocketvision.datasets.tiles.decoded import DecodedPictures


def test_the_last_ones_are_held() -> None:
    held, decoded = DecodedPictures(max_bytes=250), []

    def load(name: str, num_bytes: int = 100) -> Reading:
        def decode() -> Reading:
            decoded.append(name)
            return Reading(np.full((1, num_bytes), ord(name), np.uint8), (1, num_bytes), (1, num_bytes))

        return held.load(name, decode)

    for name in "abab":
        assert load(name).pixels[0, 0] == ord(name)
    assert decoded == ["a", "b"]
    load("c"), load("b"), load("a")
    assert decoded == ["a", "b", "c", "a"], "a was used before b"
    load("d", 1000), load("d", 1000), load("b")
    assert decoded[4:] == ["d", "b"], "one that is too large is held alone"


def test_what_fails_is_not_held() -> None:
    held = DecodedPictures()

    def fail() -> Reading:
        raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        held.load("a", fail)
    whole = Reading(np.zeros((2, 2, 3), np.uint8), (2, 2), (2, 2))
    assert held.load("a", lambda: whole) is whole
