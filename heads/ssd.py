"""SSD's head: a full convolution predicts classes and boxes on every map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pocketvision.core.layers import initialize
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features


class SSDHead(nn.Module):
    """Features -> class_logits (N, A, num_outputs) and box_deltas (N, A, 4).

    On each map a convolution of ``kernel_size`` with bias for classes and one for boxes
    (arXiv:1512.02325, sec. 2.1; torchvision's ``SSDHead``): 3x3 there, 1x1 in TensorFlow's SSDs on
    MobileNets. It is what the MobileNetV2 paper compares SSDLite with (arXiv:1801.04381, table 5).
    Anchors run in order map, row, column, anchor.

    ``num_outputs`` counts class logits an anchor, the background included where there is one.

    Raises:
        ValueError: there are not as many numbers of anchors as maps.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_anchors: Sequence[int],
        num_outputs: int,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        sizes = [(info.channels, n) for info, n in zip(feature_info.values(), num_anchors, strict=True)]
        conv = partial(nn.Conv2d, kernel_size=kernel_size, padding=kernel_size // 2)
        self.class_blocks = nn.ModuleList(conv(c, n * num_outputs) for c, n in sizes)
        self.box_blocks = nn.ModuleList(conv(c, n * 4) for c, n in sizes)
        initialize(self, "normal")

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        maps = list(features.values())
        return apply_blocks(self.class_blocks, maps, self.num_outputs), apply_blocks(self.box_blocks, maps, 4)

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return [f"class_blocks.{i}" for i in range(len(self.class_blocks))]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of ``head`` in torchvision's ``ssd300_vgg16``.

        Raises:
            ValueError: timm has no detectors.
        """
        return dict(block_names(len(self.class_blocks), library))


def apply_blocks(blocks: Iterable[nn.Module], maps: Sequence[Tensor], width: int) -> Tensor:
    """Maps (N, C, h, w), a block each -> (N, A, width)."""
    predicted = [block(x) for block, x in zip(blocks, maps, strict=True)]
    return torch.cat([x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width) for x in predicted], dim=1)


def block_names(num_maps: int, library: Library) -> list[tuple[str, str]]:
    """Pairs (our block, that of ``head`` in torchvision's detectors).

    Raises:
        ValueError: timm has no detectors.
    """
    if library != "torchvision":
        raise ValueError(f"{library} has no SSD head: choose 'torchvision'.")
    kinds = (("class_blocks", "classification_head"), ("box_blocks", "regression_head"))
    return [(f"{ours}.{i}", f"{theirs}.module_list.{i}") for ours, theirs in kinds for i in range(num_maps)]
