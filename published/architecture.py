"""Which MobileNet tensors are of, whoever named them: so that others are refused at once and by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.models import Classifier, Detector, VisionModel


class Family(NamedTuple):
    """An architecture, and what the commands call it."""

    title: str
    short_name: str


V1, V2 = Family("MobileNetV1", "v1"), Family("MobileNetV2", "v2")
V3_LARGE, V3_SMALL = Family("MobileNetV3-Large", "v3_large"), Family("MobileNetV3-Small", "v3_small")
EDGETPU = Family("MobileNetEdgeTPU", "edgetpu")

_BY_DEPTH = {13: V1, 17: V2, 15: V3_LARGE, 11: V3_SMALL}
"""Number of 3x3 and 5x5 depthwise convolutions of the whole backbone; EdgeTPU has V1's, and whole ones."""
_NUM_BLOCKS = {**_BY_DEPTH, 22: EDGETPU}
_NOT_OF_BACKBONE = re.compile(
    r"(^|\.)(head|extra\w*|top_down|down|bottom_up|classifier|aux\w*|decoder|module_list|conv_dw_head)\."
)
_OTHERS = {
    "layer1.0.conv1.weight": "ResNet",
    "cls_token": "vision transformer",
    "stages.0.blocks.0.conv_dw.weight": "ConvNeXt",
    "features.denseblock1.denselayer1.conv1.weight": "DenseNet",
    "features.norm5.weight": "DenseNet",
    "model.0.conv.weight": "YOLO",
}
"""A tensor that tells what else somebody may have."""


def family_of(state: Mapping[str, Tensor]) -> Family | None:
    """The MobileNet that a state dict holds whole, None for others and for parts of one."""
    kernels = [
        value.shape
        for name, value in state.items()
        if value.ndim == 4 and value.shape[-1] in (3, 5) and not _NOT_OF_BACKBONE.search(name)
    ]
    num_depthwise = sum(inputs == 1 < outputs for outputs, inputs, *_ in kernels)
    return _by_depth(num_depthwise, is_edgetpu=len(kernels) - num_depthwise > 1)


def _by_depth(num_depthwise: int, *, is_edgetpu: bool) -> Family | None:
    family = _BY_DEPTH.get(num_depthwise)
    return EDGETPU if family == V1 and is_edgetpu else family


_OF_TENSORFLOW = re.compile(r"(^|/)(expanded_conv|block|Conv2d|conv_dw)(_\d+)?(/|_|$)")
_EXTRA = re.compile(r"(^|/)(layer_|aspp)\d+|Predictor|_Conv2d_\d+_[13]x[13]_")


def family_of_layers(depthwise: Iterable[str]) -> Family | None:
    """The MobileNet whose depthwise layers TensorFlow gives these names, None where others are among them."""
    names = [name for name in depthwise if not _EXTRA.search(name)]
    if not all(map(_OF_TENSORFLOW.search, names)):
        return None
    return _by_depth(len(names), is_edgetpu=any("expanded_conv" in name for name in names))


def _family_of_model(model: VisionModel) -> Family | None:
    """By its whole architecture: of a backbone that ends at c4 the tensors look like another's."""
    body = body_of(model.backbone)
    return _NUM_BLOCKS.get(len(body.architecture.blocks)) if isinstance(body, MobileNet) else None


def refuse_other_state(model: VisionModel, state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights of another architecture than the model's, where both are known.

    Raises:
        InputError: says what they are, and what model they are for.
    """
    own, theirs = _family_of_model(model), family_of(state)
    other = next((title for name, title in _OTHERS.items() if any(key.endswith(name) for key in state)), None)
    if theirs is None and other is not None and own is not None:
        raise InputError(
            f"{path} is a {other}, this model a {own.title}: give weights of a {own.title}, or of our own."
        )
    refuse_other_family(model, theirs, path)


def refuse_other_family(model: VisionModel, theirs: Family | None, path: Path) -> None:
    """Refuse weights of another MobileNet than the model's, as :func:`refuse_other_state`."""
    own = _family_of_model(model)
    if own is None or theirs is None or own == theirs:
        return
    kind = "ssdlite" if isinstance(model, Detector) else "lraspp"
    kind = "classifier" if isinstance(model, Classifier) else kind
    raise InputError(
        f"{path} is a {theirs.title}, this model a {own.title}: choose --model {kind}_{theirs.short_name} "
        "or a config with that backbone, or give other weights."
    )
