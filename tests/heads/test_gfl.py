"""The dense head: what it predicts before training, its distributions, and where its classes are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pocketvision.core.structures import FeatureInfo
from pocketvision.heads import GFLHead

INFO = {"p3": FeatureInfo(8, 8), "p4": FeatureInfo(12, 16)}
MAPS = {"p3": torch.rand(2, 8, 4, 6), "p4": torch.rand(2, 12, 2, 3)}


def head(**options: Any) -> GFLHead:
    torch.manual_seed(0)
    return GFLHead(INFO, num_anchors=(1, 2), num_outputs=3, kernel_size=3, **options)


@pytest.mark.parametrize("reg_max", [0, 1, 7])
def test_a_head_that_knows_nothing_predicts_its_anchors(reg_max: int) -> None:
    logits, deltas = head(reg_max=reg_max).eval()(MAPS)
    assert logits.shape == (2, 24 + 12, 3) and deltas.shape == (2, 24 + 12, 4)
    torch.testing.assert_close(deltas, torch.ones_like(deltas), atol=0.1, rtol=0)
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01), atol=1e-3, rtol=0)


def test_an_untrained_head_reads_the_maps_themselves() -> None:
    dense = head(depth=3).eval()
    logits = [layer(x) for layer, x in zip(dense.class_blocks, MAPS.values(), strict=True)]
    expected = torch.cat([x.permute(0, 2, 3, 1).reshape(2, -1, 3) for x in logits], dim=1)
    torch.testing.assert_close(dense(MAPS)[0], expected)


def test_a_distance_is_the_mean_of_its_distribution() -> None:
    dense = head(reg_max=4, depth=1)
    _, deltas, sides = dense(MAPS)
    assert sides.shape == (2, 36, 4, 5)
    mean = sum(sides.softmax(-1)[..., i] * i * 2 / 4 for i in range(5))
    torch.testing.assert_close(deltas, mean)
    assert len(dense.eval()(MAPS)) == 2, "the distributions are for the loss"
    assert len(head(reg_max=0)(MAPS)) == 2


def test_deltas_of_the_exponential_form_are_bounded() -> None:
    dense = head(reg_max=0).eval()
    for block in dense.box_blocks:
        torch.nn.init.constant_(block.bias, 1e4)  # type: ignore[arg-type]
    assert dense(MAPS)[1].isfinite().all()


def test_scores_and_boxes_come_from_layers_of_their_own() -> None:
    """Class surgery and int8 rely on it: a layer with both would need one scale for both."""
    dense = head()
    assert dense.class_layers() == ["class_blocks.0", "class_blocks.1"]
    rows = [dense.get_submodule(name).out_channels for name in dense.class_layers()]
    assert rows == [3, 6] and [layer.out_channels for layer in dense.box_blocks] == [32, 64]
