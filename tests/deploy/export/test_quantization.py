"""Blocks of weights, and the choice of those that stay float32, against trying every number of them."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.export.quantization import block_of, choose_float_blocks, weighted_nodes, weights_of


@pytest.mark.parametrize(
    ("weight", "block"),
    [
        ("backbone.stem.conv.weight", "backbone.stem"),
        ("backbone.blocks.13.expand.conv.weight", "backbone.blocks.13"),
        ("backbone.backbone.blocks.3.depthwise.conv.weight", "backbone.backbone.blocks.3"),
        ("backbone.extra_blocks.0.reduce.conv.weight", "backbone.extra_blocks.0"),
        ("head.class_blocks.2.1.weight", "head.class_blocks.2"),
        ("logits.head.high_logits.weight", "head.high_logits"),
        ("parts.detection.head.class_blocks.2.1.weight", "parts.detection.head.class_blocks.2"),
        ("some_tensor.weight", "some_tensor"),
    ],
)
def test_the_block_of_a_weight(weight: str, block: str) -> None:
    assert block_of(weight) == block


def test_the_weights_of_each_block() -> None:
    graph = nn.Module()
    graph.backbone = nn.Module()
    graph.backbone.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    graph.head = nn.ModuleDict({"class_logits": nn.Linear(4, 2)})
    found = weights_of(graph)
    assert {block: list(weights) for block, weights in found.items()} == {
        "backbone.stem.0": ["backbone.stem.0.weight"],
        "head.class_logits": ["head.class_logits.weight"],
    }


def test_only_nodes_with_a_weight_have_a_block() -> None:
    nodes = [
        onnx.helper.make_node("Conv", ["x", "backbone.stem.conv.weight"], ["y"], name="first"),
        onnx.helper.make_node("Relu", ["y"], ["z"], name="activation"),
        onnx.helper.make_node("Gemm", ["z", "head.class_logits.weight"], ["out"], name="last"),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    assert list(weighted_nodes(model).items()) == [("first", "backbone.stem"), ("last", "head.class_logits")]


@given(st.lists(st.floats(0, 0.1), min_size=2, max_size=20), st.floats(0, 1))
def test_the_fewest_blocks_that_keep_the_drop(gains: list[float], share: float) -> None:
    """With a drop that every block makes smaller, as the search assumes."""
    blocks = {f"block {i}": 1.0 / (i + 1) for i in range(len(gains))}
    asked: list[int] = []

    def drop(float_blocks: Sequence[str]) -> float:
        assert list(float_blocks) == list(blocks)[: len(float_blocks)], "the worst first"
        asked.append(len(float_blocks))
        return -sum(gains[: len(float_blocks)])

    most = max(count for count in (0, *(2**i for i in range(6))) if count <= len(blocks) // 2)
    max_drop = share * drop(list(blocks)[:most])
    expected = next(count for count in range(len(gains) + 1) if -sum(gains[:count]) <= max_drop)
    asked.clear()
    assert choose_float_blocks(blocks, drop, max_drop) == tuple(blocks)[:expected]
    assert len(set(asked)) == len(asked), "a score takes minutes"


def test_what_can_not_be_reached_is_said() -> None:
    with pytest.raises(InputError, match=r"loses 0\.6000 with up to 2 of 5 blocks .* 0\.1 is asked for"):
        choose_float_blocks(dict.fromkeys("abcde", 1.0), lambda blocks: 1 - 0.2 * len(blocks), 0.1)
