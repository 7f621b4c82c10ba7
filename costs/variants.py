"""Models of the papers' comparisons that nobody trains with: only ``cost`` builds them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct
from pocketvision.core.structures import FeatureInfo, Features

if TYPE_CHECKING:
    from pocketvision.backbones.mobilenet import MobileNet

V1Variant = Literal["full_convolutions", "shallow"]


class Chain(nn.Module):
    """Layers one behind the other, as a backbone whose only feature is their output."""

    def __init__(self, feature: str, info: FeatureInfo, *layers: nn.Module) -> None:
        super().__init__()
        self.feature_info = {feature: info}
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Features:
        return dict.fromkeys(self.feature_info, self.layers(images))


def v1_variant(body: MobileNet, variant: V1Variant) -> Chain:
    """MobileNetV1 as it is compared with in arXiv:1704.04861.

    ``"full_convolutions"`` (table 4) has a 3x3 convolution for every depthwise and 1x1 pair,
    ``"shallow"`` (table 5) lacks the five blocks of 14x14x512 that don't change the map's shape.

    Raises:
        ValueError: another variant, or a backbone that is no MobileNetV1.
    """
    from pocketvision.backbones.architecture import feature_taps

    if body.architecture.version != 1:
        raise ValueError("variants exist of mobilenet_v1 only.")
    layers: list[nn.Module]
    if variant == "shallow":
        taps = feature_taps(body.architecture)
        first, last = taps["c4_first"].block, taps["c4"].block
        layers = [block for i, block in enumerate(body.blocks) if not first < i <= last]
    elif variant == "full_convolutions":
        conv = partial(ConvNormAct, kernel_size=3, activation=nn.ReLU6)
        specs, channels = body.architecture.blocks, [body.architecture.stem_channels]
        channels += [spec.out for spec in specs]
        layers = [conv(channels[i], spec.out, stride=spec.stride) for i, spec in enumerate(specs)]
    else:
        raise ValueError(f"variant is {variant!r}: choose full_convolutions or shallow.")
    return Chain("c5", body.feature_info["c5"], body.stem, *layers)


def predict_pointwise(head: nn.Module) -> None:
    """1x1 convolutions for the 3x3 ones of an SSD head, as TensorFlow's SSD on MobileNetV1 has them."""
    for part in (head.class_blocks, head.box_blocks):
        assert isinstance(part, nn.ModuleList)
        for i, conv in enumerate(part):
            assert isinstance(conv, nn.Conv2d)
            part[i] = nn.Conv2d(conv.in_channels, conv.out_channels, 1)


class WithAuxiliary(nn.Module):
    """A head and an auxiliary one, both of which run, as torchvision counts its segmentation models."""

    def __init__(self, head: nn.Module, auxiliary: nn.Module) -> None:
        super().__init__()
        self.main, self.auxiliary = head, auxiliary

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        return self.main(features), self.auxiliary(features)
