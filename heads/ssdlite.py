"""SSDLite's head: separable convolutions predict classes and boxes on every map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from pocketvision.core.layers import ConvNormAct, initialize
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.ssd import apply_blocks, block_names


class SSDLiteHead(nn.Module):
    """Features -> class_logits (N, A, num_outputs) and box_deltas (N, A, 4).

    On each map a 3x3 depthwise convolution with BatchNorm and ReLU6, then a 1x1 convolution with
    bias, separately for classes and boxes (arXiv:1801.04381, sec. 6.2; TensorFlow's depthwise class
    and box heads; torchvision's ``_prediction_block``). Anchors run in order map, row, column, anchor.

    ``num_outputs`` counts class logits an anchor, the background included where there is one.

    Raises:
        ValueError: there are not as many numbers of anchors as maps.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_anchors: Sequence[int],
        num_outputs: int,
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.03,
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        block = partial(_prediction_block, norm_eps=norm_eps, norm_momentum=norm_momentum)
        channels = [info.channels for info in feature_info.values()]
        self.class_blocks = nn.ModuleList(
            block(c, count * num_outputs) for c, count in zip(channels, num_anchors, strict=True)
        )
        self.box_blocks = nn.ModuleList(
            block(c, count * 4) for c, count in zip(channels, num_anchors, strict=True)
        )
        initialize(self, "normal")

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        maps = list(features.values())
        return apply_blocks(self.class_blocks, maps, self.num_outputs), apply_blocks(self.box_blocks, maps, 4)

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return [f"class_blocks.{i}.1" for i in range(len(self.class_blocks))]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of ``head`` in torchvision's ``ssdlite320_mobilenet_v3_large``.

        Raises:
            ValueError: timm has no detectors.
        """
        parts = {"0.conv": "0.0", "0.norm": "0.1", "1": "1"}
        blocks = block_names(len(self.class_blocks), library)
        return {f"{o}.{part}": f"{t}.{published}" for o, t in blocks for part, published in parts.items()}


def _prediction_block(channels: int, outputs: int, norm_eps: float, norm_momentum: float) -> nn.Sequential:
    depthwise = ConvNormAct(
        channels,
        channels,
        3,
        groups=channels,
        activation=partial(nn.ReLU6, inplace=True),
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
    )
    return nn.Sequential(depthwise, nn.Conv2d(channels, outputs, 1))
