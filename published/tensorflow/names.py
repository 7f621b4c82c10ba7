"""What a layer is for, from its name in our models and in TensorFlow's slim, DeepLab and detectors.

A role is the layer's place in words that both sides share, such as ``block 3 depthwise``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Our module -> role. The first pattern that is found in the name counts; {} is its number, counted from 0.
_OURS: Sequence[tuple[str, str]] = (
    (r"extra_blocks\.(\d+)\.0",               "extra {} reduce"),
    (r"extra_blocks\.(\d+)\.1",               "extra {} depthwise"),
    (r"extra_blocks\.(\d+)\.2",               "extra {} expand"),
    (r"class_blocks\.(\d+)\.0",               "class {} depthwise"),
    (r"class_blocks\.(\d+)",                  "class {}"),
    (r"box_blocks\.(\d+)\.0",                 "box {} depthwise"),
    (r"box_blocks\.(\d+)",                    "box {}"),
    (r"blocks\.(\d+)\.squeeze\.reduce",       "block {} squeeze"),
    (r"blocks\.(\d+)\.squeeze\.expand",       "block {} excite"),
    (r"blocks\.(\d+)\.expand",                "block {} expand"),
    (r"blocks\.(\d+)\.depthwise",             "block {} depthwise"),
    (r"blocks\.(\d+)\.(?:project|pointwise)", "block {} project"),
    (r"stem",                                 "stem"),
    (r"last",                                 "last"),
    (r"head\.hidden",                         "hidden"),
    (r"head\.class_logits",                   "logits"),
    (r"head\.gated\.gate|head\.pooled",       "pooled"),
    (r"head\.gated\.reduce|head\.point",      "branch 0"),
    (r"head\.atrous\.(\d+)\.0",               "branch {} depthwise"),
    (r"head\.atrous\.(\d+)",                  "branch {}"),
    (r"head\.project",                        "mix"),
    (r"head\.low_logits\.(\d+)",              "low {}"),
    (r"head\.high_logits",                    "high"),
    (r"head\.logits",                         "logits"),
)  # fmt: skip
# TensorFlow's scope -> role, and what to add to its number to count from 0.
_THEIRS: Sequence[tuple[str, str, int]] = (
    (r"BoxPredictor_(\d+)/ClassPredictor_depthwise",            "class {} depthwise", 0),
    (r"BoxPredictor_(\d+)/ClassPredictor",                      "class {}",           0),
    (r"BoxPredictor_(\d+)/Box(?:Encoding)?Predictor_depthwise", "box {} depthwise",   0),
    (r"BoxPredictor_(\d+)/Box(?:Encoding)?Predictor",           "box {}",             0),
    (r"_1_Conv2d_(\d+)_1x1_\d+",                                "extra {} reduce",   -2),
    (r"_2_Conv2d_(\d+)_3x3_s2_\d+_depthwise",                   "extra {} depthwise", -2),
    (r"_2_Conv2d_(\d+)_3x3_s2_\d+",                             "extra {} expand",   -2),
    (r"expanded_conv(?:_(\d+))?/squeeze_excite/Conv_1",         "block {} excite",    0),
    (r"expanded_conv(?:_(\d+))?/squeeze_excite/Conv",           "block {} squeeze",   0),
    (r"expanded_conv(?:_(\d+))?/expand",                        "block {} expand",    0),
    (r"expanded_conv(?:_(\d+))?/depthwise",                     "block {} depthwise", 0),
    (r"expanded_conv(?:_(\d+))?/project",                       "block {} project",   0),
    (r"MobilenetV1/Conv2d_0(?![\d])",                           "stem",               0),
    (r"Conv2d_(\d+)_depthwise",                                 "block {} depthwise", -1),
    (r"Conv2d_(\d+)_pointwise",                                 "block {} project",  -1),
    (r"Logits/(?:Conv2d_1c_1x1|LinearConv)|logits/semantic",    "logits",             0),
    (r"image_pooling",                                          "pooled",             0),
    (r"aspp(\d+)_depthwise",                                    "branch {} depthwise", 0),
    (r"aspp(\d+)(?:_pointwise|(?![_\d]))",                     "branch {}",          0),
    (r"concat_projection",                                      "mix",                0),
    (r"decoder/feature_projection(\d+)",                        "low {}",             0),
    (r"decoder/decoder_conv0",                                  "high",               0),
    (r"Mobilenet[^/]*/Conv_1(?![\d])",                          "last",               0),
    (r"Mobilenet[^/]*/Conv_2(?![\d])",                          "hidden",             0),
    (r"Mobilenet[^/]*/Conv(?![\w])",                            "stem",               0),
)  # fmt: skip


def model_role(name: str) -> str:
    """The role of one of our modules; its own name where it has none."""
    for pattern, role in _OURS:
        if match := re.search(pattern, name):
            number = int(match[1]) if match.groups() else 0
            return role.format(number + (pattern.startswith(r"head\.atrous")))
    return name


def tensorflow_role(name: str) -> str:
    """The role of one of TensorFlow's scopes or operations; its own name where it has none."""
    for pattern, role, shift in _THEIRS:
        if match := re.search(pattern, name):
            return role.format((int(match[1]) if match.groups() and match[1] else 0) + shift)
    return name
