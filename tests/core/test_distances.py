"""Boxes as distances from points, and the anchors that stand for points."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder


def test_decoding_by_hand() -> None:
    anchor, deltas = torch.tensor([[8.0, 16, 16, 24]]), torch.tensor([[2.0, 1.0, 4.0, 0.0]])
    assert DistanceBoxCoder().decode(deltas, anchor).tolist() == [[4.0, 16.0, 28.0, 20.0]]


def test_ones_are_the_anchor() -> None:
    anchors = torch.tensor([[8.0, 16, 16, 36]])
    assert torch.equal(DistanceBoxCoder().decode(torch.ones(1, 4), anchors), anchors)


@settings(deadline=None)
@given(st.integers(0, 2**16))
def test_encoding_is_the_inverse(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    low = torch.rand(5, 2, generator=rng) * 50
    boxes = torch.cat((low, low + 1 + torch.rand(5, 2, generator=rng) * 50), dim=1)
    anchors = CellAnchors(2.0)([(1, 5)], (30, 150))
    coder = DistanceBoxCoder()
    torch.testing.assert_close(
        coder.decode(coder.encode(boxes, anchors), anchors), boxes, atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_cells(scale: float) -> None:
    """Centers are those of the cells, sides ``scale`` strides, also where a map was rounded up."""
    anchors = CellAnchors(scale)([(2, 3), (1, 2)], (20, 30))
    assert CellAnchors().num_anchors(2) == [1, 1] and anchors.shape == (8, 4)
    centers, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    assert centers[:6].tolist() == [[x, y] for y in (5.0, 15.0) for x in (5.0, 15.0, 25.0)]
    assert sides[:6].tolist() == [[10 * scale] * 2] * 6
    assert sides[6].tolist() == [15 * scale, 20 * scale]
