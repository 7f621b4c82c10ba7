"""Conventions are each other's inverse, and the right one is told from the numbers alone."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.datasets.readers.conventions import CONVENTIONS, guess_convention

SIZES = np.random.default_rng(1).integers(200, 600, (200, 2)).astype(np.float64)


def some_boxes() -> np.ndarray:
    generator = np.random.default_rng(0)
    limits = SIZES[:, ::-1]
    sides = limits * generator.uniform(0.03, 0.6, (200, 2))
    corners = (limits - sides) * generator.random((200, 2))
    return np.concatenate((corners, corners + sides), axis=1)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_decode_undoes_encode(name: str) -> None:
    boxes = some_boxes()
    stated = CONVENTIONS[name].encode(boxes, SIZES)
    np.testing.assert_allclose(CONVENTIONS[name].decode(stated, SIZES), boxes, atol=1e-9)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_what_is_right_is_believed_and_what_is_wrong_is_not(name: str) -> None:
    """As far as it is among those that the stated one is mistaken for."""
    boxes = some_boxes()
    boxes[::20] = np.nan
    values = CONVENTIONS[name].encode(boxes, SIZES)
    assert guess_convention(boxes, SIZES, name) == name
    for stated, convention in CONVENTIONS.items():
        if name in convention.mistaken_for:
            assert guess_convention(convention.decode(values, SIZES), SIZES, stated) == name
    assert guess_convention(values[1:4], SIZES[1:4], "yolo") == "yolo", "three boxes say too little"
