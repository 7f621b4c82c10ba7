"""Which backbone of a pyramid published weights and freezing are for."""

from __future__ import annotations

import timm
from torch import nn

from pocketvision.backbones import TimmBackbone, WithExtraBlocks, mobilenet_v3_small
from pocketvision.core.protocols import (
    HasClassLayers,
    HasImagenetFile,
    HasLayers,
    HasPublishedNames,
    body_of,
)
from pocketvision.core.structures import FeatureInfo


class HoldsATrunk(nn.Module):
    """Its ``backbone`` is no backbone of ours: timm's has a ``feature_info`` too, but no declared maps."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("mobilenetv3_small_050", pretrained=False, features_only=True)
        self.feature_info = {"c1": FeatureInfo(16, 2)}


def test_the_innermost_of_pyramids() -> None:
    inner = mobilenet_v3_small(out_features=("c1",))
    once = WithExtraBlocks(inner, channels=(16,))
    assert body_of(inner) is body_of(once) is body_of(WithExtraBlocks(once, channels=(16,))) is inner


def test_what_is_no_backbone_is_not_taken_for_one() -> None:
    outer = HoldsATrunk()
    assert body_of(outer) is outer  # type: ignore[arg-type]


def test_optional_protocols_are_seen_at_run_time() -> None:
    optional = (HasPublishedNames, HasImagenetFile, HasLayers, HasClassLayers)
    assert [isinstance(mobilenet_v3_small(), kind) for kind in optional] == [True, True, True, False]
    other = TimmBackbone(timm.create_model("mobilenetv3_small_050", pretrained=False, features_only=True))
    assert not any(isinstance(other, kind) for kind in optional)
