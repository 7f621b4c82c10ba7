"""Backbones by name, with the features that they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.by_name import build_with, find_builder, hidden_channels
from pocketvision.core.structures import FeatureInfo, Features


class One(nn.Module):
    def __init__(self, out_features: Sequence[str]) -> None:
        super().__init__()
        if list(out_features) != ["c5"]:
            raise ValueError(f"unknown features {out_features}: choose from c5.")
        self.feature_info = {"c5": FeatureInfo(3, 1)}

    def forward(self, images: Tensor) -> Features:
        return {"c5": images}


def test_long_and_short_names() -> None:
    assert find_builder("v2") is find_builder("mobilenet_v2") is mobilenet_v2
    with pytest.raises(ValueError, match=r"'v9': choose from edgetpu, v1, v2, v3_large, v3_small\."):
        find_builder("v9")


def test_the_first_list_of_features_that_a_backbone_has() -> None:
    choices: Any = (("c4_expand", "last"), ("c4", "c5"))
    assert list(build_with(mobilenet_v2, *choices).feature_info) == ["c4_expand", "last"]
    assert list(build_with(mobilenet_v1, *choices).feature_info) == ["c4", "c5"]
    assert list(build_with(One, ("last",), ("c5",), output_stride=16, weights=None).feature_info) == ["c5"]


def test_nothing_is_hidden() -> None:
    with pytest.raises(ValueError, match="unknown features"):
        build_with(One, ("last",), ("c4",))
    with pytest.raises(ValueError, match="output_stride is 7"):
        build_with(mobilenet_v2, ("last",), ("c5",), output_stride=7)
    with pytest.raises(TypeError, match="weights"):
        build_with(One, ("c5",), weights="imagenet")


def test_a_backbone_of_three_channels_takes_no_others() -> None:
    assert list(build_with(One, ("c5",), in_channels=3).feature_info) == ["c5"]
    with pytest.raises(ValueError, match="takes three channels, not 5"):
        build_with(One, ("c5",), in_channels=5)


def test_hidden_layers_are_the_papers() -> None:
    """Tables 1 and 2 of arXiv:1905.02244."""
    builders: Any = (mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small)
    assert [hidden_channels(builder) for builder in builders] == [None, None, 1280, 1024]
