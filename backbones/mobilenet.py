"""The backbone that all MobileNets have in common: stem, blocks, last convolution, features by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.fx
from torch import Tensor, nn

from pocketvision.backbones.architecture import (
    Architecture,
    DilationRule,
    Placement,
    Tap,
    feature_taps,
    place_blocks,
)
from pocketvision.backbones.blocks import ACTIVATIONS, Block, Conv, FusedResidual
from pocketvision.backbones.published_names import timm_names, torchvision_names
from pocketvision.core.layers import ConvNormAct, Padding, initialize
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features


class MobileNet(nn.Module):
    """(N, in_channels, H, W) normalized images -> :data:`Features`, finest first.

    ``c1``..``c5`` are the outputs of the last block at nominal stride 2..32; ``c4_expand`` the
    expanded tensor of the block after c4; ``c3_depthwise`` the last block of c3 after its depthwise
    convolution (likewise for other levels); ``c3_first`` the output of the first block of c3, which
    torchvision's segmentation models read; ``last`` the 1x1 convolution before pooling (all but V1).
    Nothing deeper than needed is built.

    ``output_stride`` 8 or 16 replaces later strides by dilation. The block that loses its stride keeps
    the previous dilation with ``dilation_rule="tensorflow"`` (slim, DeepLab, timm) and has the new
    one already with ``"torchvision"`` (its ``dilated=True``); the following blocks use the new one.
    Weights fit both, but should be used with the rule that they were trained with.

    Raises:
        ValueError: an unknown feature name (the known ones are listed), output stride, rule or padding.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        out_features: Sequence[str],
        output_stride: int,
        in_channels: int,
        padding: Padding,
        dilation_rule: DilationRule,
        norm_eps: float,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        taps = feature_taps(architecture)
        unknown = [name for name in out_features if name not in taps]
        if unknown or not out_features:
            raise ValueError(f"unknown features {unknown}: choose from {', '.join(taps)}.")
        places = place_blocks(architecture.blocks, output_stride, dilation_rule)
        self._taps = {name: tap for name, tap in taps.items() if name in out_features}
        self.feature_info = {name: _info(tap, architecture, places) for name, tap in self._taps.items()}
        conv = partial(ConvNormAct, padding=padding, norm_eps=norm_eps, norm_momentum=norm_momentum)
        self._build(conv, in_channels, places, list(self._taps.values())[-1])
        initialize(self, "kaiming")

    def _build(self, conv: Conv, in_channels: int, places: Sequence[Placement], deepest: Tap) -> None:
        stem, specs = self.architecture.stem_channels, self.architecture.blocks
        activation = ACTIVATIONS[self.architecture.activation]
        self.stem = conv(in_channels, stem, 3, stride=2, activation=activation)
        self.blocks = nn.ModuleList()
        channels = stem
        for index, (spec, place) in enumerate(zip(specs[: deepest.block + 1], places, strict=False)):
            make = FusedResidual if spec.fused else self.architecture.block
            block = make(
                conv,
                channels,
                spec,
                stride=place.stride,
                dilation=place.dilation,
                has_residual=place.has_residual,
                until=deepest.part if index == deepest.block else "output",
            )
            self.blocks.append(block)
            channels = spec.out
        self.last: nn.Module | None = None
        if deepest.block == len(specs):
            self.last = conv(channels, self.architecture.last_channels, activation=activation)

    def forward(self, images: Tensor) -> Features:
        taps, parts = self._taps.values(), {}
        x = parts[Tap(-1, "output")] = self.stem(images)
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            tensors = block.parts(x)
            for tap in taps:  # no comprehension: Python 3.10's TorchDynamo can't `del` what one has captured
                if tap.block == index:
                    parts[tap] = tensors[tap.part]
            x = tensors[block.until]
            del tensors  # else what is inside a block would stay until the next one is through
        if self.last is not None:
            parts[Tap(len(self.blocks), "output")] = self.last(x)
        return {name: parts[tap] for name, tap in self._taps.items()}

    def whole_blocks(self) -> set[int]:
        """Numbers of the blocks that a feature is read from inside: its reader needs all their channels."""
        return {tap.block for tap in self._taps.values() if tap.part != "output"}

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` takes in place of this: the layers in a row.

        Raises:
            InputError: it is in training.
        """
        traced = torch.fx.symbolic_trace(self)
        for node in traced.graph.nodes:
            node.type = None  # annotations name aliases that TorchScript does not know
        traced.recompile()
        return traced

    @property
    def imagenet_url(self) -> str | None:
        """torchvision's file of the classifier; None where it has none."""
        return self.architecture.imagenet_url

    def layers_until(self, feature: str) -> list[nn.Module]:
        """The layers that ``feature`` is computed by, in order: what freezing up to it freezes.

        Raises:
            ValueError: the backbone has no such feature, or is not built so deep.
        """
        taps = feature_taps(self.architecture)
        built: list[nn.Module] = [self.stem, *self.blocks, *([] if self.last is None else [self.last])]
        if feature not in taps or taps[feature].block + 2 > len(built):
            known = ", ".join(taps)
            raise ValueError(f"the backbone has no feature {feature!r} to freeze: choose from {known}.")
        return built[: taps[feature].block + 2]

    def layer_groups(self) -> list[list[nn.Module]]:
        """The stem, then the blocks one by one; the last convolution goes with the last block."""
        groups: list[list[nn.Module]] = [[self.stem], *([block] for block in self.blocks)]
        if self.last is not None:
            groups[-1].append(self.last)
        return groups

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of the library's classification model, e.g. ``stem.conv`` -> ``features.0.0``.

        Weights of the same shape have the same names in both; whether shapes agree is a matter of
        width and variant.

        Raises:
            ValueError: an unknown library, or one without this architecture (torchvision has no V1, none
                has slim's EdgeTPU).
        """
        namers = {"timm": timm_names, "torchvision": torchvision_names}
        if library not in namers:
            raise ValueError(f"library is {library!r}: choose 'torchvision' or 'timm'.")
        return namers[library](self.architecture, tuple(self.blocks), has_last=self.last is not None)


def _info(tap: Tap, architecture: Architecture, places: Sequence[Placement]) -> FeatureInfo:
    if tap.block < 0:
        return FeatureInfo(architecture.stem_channels, 2)
    if tap.block == len(places):
        assert architecture.last_channels is not None
        return FeatureInfo(architecture.last_channels, places[-1].stride_after)
    spec, place = architecture.blocks[tap.block], places[tap.block]
    if tap.part == "expand":
        return FeatureInfo(spec.expanded, place.stride_before)
    return FeatureInfo(spec.out if tap.part == "output" else spec.expanded, place.stride_after)
