"""TensorFlow's names of the layers of our models."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from pocketvision.models import Detector, Segmenter
from pocketvision.published.tensorflow.names import model_role

# Roles that both sides share -> slim's, DeepLab's and the Object Detection API's scopes.
SCOPES = (
    (r"class (\d+) depthwise", r"BoxPredictor_\1/ClassPredictor_depthwise"),
    (r"class (\d+)", r"BoxPredictor_\1/ClassPredictor"),
    (r"box (\d+) depthwise", r"BoxPredictor_\1/BoxEncodingPredictor_depthwise"),
    (r"box (\d+)", r"BoxPredictor_\1/BoxEncodingPredictor"),
    (r"block 0 (expand|depthwise|project)", r"NET/expanded_conv/\1"),
    (r"block 0 squeeze", r"NET/expanded_conv/squeeze_excite/Conv"),
    (r"block 0 excite", r"NET/expanded_conv/squeeze_excite/Conv_1"),
    (r"block (\d+) (expand|depthwise|project)", r"NET/expanded_conv_\1/\2"),
    (r"block (\d+) squeeze", r"NET/expanded_conv_\1/squeeze_excite/Conv"),
    (r"block (\d+) excite", r"NET/expanded_conv_\1/squeeze_excite/Conv_1"),
    (r"stem", "NET/Conv"), (r"last", "NET/Conv_1"), (r"hidden", "NET/Conv_2"), (r"pooled", "image_pooling"),
    (r"branch (\d+) depthwise", r"aspp\1_depthwise"),
    (r"branch (\d+)", r"aspp\1"),
    (r"mix", "concat_projection"), (r"high", "decoder/decoder_conv0"),
    (r"low (\d+)", r"decoder/feature_projection\1"),
)  # fmt: skip


def _scope_of(model: nn.Module) -> Callable[[str], str]:
    """TensorFlow's names of this model's layers, written by hand from its sources."""
    is_v1 = "blocks.0.pointwise.conv.weight" in "".join(model.state_dict())
    net = "MobilenetV1" if is_v1 else "MobilenetV2"
    prefix = "FeatureExtractor/" if isinstance(model, Detector) else ""

    def scope(module: str) -> str:
        role = model_role(module)
        if separable := re.search(r"head\.atrous\.(\d+)\.1", module):
            return f"aspp{int(separable[1]) + 1}_pointwise"
        if role == "logits":
            return "logits/semantic" if isinstance(model, Segmenter) else f"{net}/Logits/Conv2d_1c_1x1"
        if extra := re.fullmatch(r"extra (\d+) (\w+)", role):
            number, part = int(extra[1]) + 2, extra[2]
            end = {"reduce": "1x1_8", "depthwise": "3x3_s2_16_depthwise"}.get(part, "3x3_s2_16")
            return f"{prefix}{net}/layer_19_{1 if part == 'reduce' else 2}_Conv2d_{number}_{end}"
        if is_v1 and (role == "stem" or role.startswith("block")):
            _, number, part = ("block -1 " if role == "stem" else role + " ").split(" ", 2)
            kind = {"depthwise ": "_depthwise", "project ": "_pointwise"}.get(part, "")
            return f"{prefix}{net}/Conv2d_{int(number) + 1}{kind}"
        for pattern, name in SCOPES:
            if re.fullmatch(pattern, role):
                return prefix * name.startswith("NET") + re.sub(pattern, name, role).replace("NET", net)
        raise AssertionError(module)

    return scope


@pytest.fixture
def scope_of() -> Callable[[Any], Callable[[str], str]]:
    """``scope_of(model)``: the function that gives TensorFlow's scopes for the names of its layers."""
    return _scope_of
