"""A pyramid is a backbone: SSDLite's extra blocks continue one to coarser maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from pocketvision.backbones.architecture import feature_taps
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.core.layers import ConvNormAct, Padding, initialize
from pocketvision.core.protocols import Backbone, Library
from pocketvision.core.structures import FeatureInfo, Features


class WithExtraBlocks(nn.Module):
    """A backbone whose coarsest feature goes on through blocks of stride 2, named ``extra1``, ``extra2``...

    A block is a 1x1 convolution to half of its channels, a 3x3 depthwise convolution with stride 2
    and a 1x1 convolution, each with BatchNorm and ReLU6, as in TensorFlow's and torchvision's
    SSDLite (mid widths 256, 128, 128, 64 for the default ``channels``). ``padding`` is that of
    :class:`ConvNormAct`: ``"same"`` for TensorFlow's weights. ``separable=False`` has a full 3x3
    convolution to the block's channels instead of the last two, as in SSD (arXiv:1512.02325, fig. 2),
    for the comparison with SSDLite in arXiv:1801.04381, table 5.
    """

    def __init__(
        self,
        backbone: Backbone,
        channels: Sequence[int] = (512, 256, 256, 128),
        norm_eps: float = 1e-3,
        norm_momentum: float = 0.03,
        padding: Padding = "torch",
        separable: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_info = dict(backbone.feature_info)
        self._coarsest = list(self.feature_info)[-1]
        self.extra_blocks = nn.ModuleList()
        in_channels, stride = self.feature_info[self._coarsest]
        conv = partial(
            ConvNormAct,
            activation=partial(nn.ReLU6, inplace=True),
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
            padding=padding,
        )
        for number, out in enumerate(channels, start=1):
            mid = out // 2
            if separable:
                reduction = [conv(mid, mid, 3, stride=2, groups=mid), conv(mid, out)]
            else:
                reduction = [conv(mid, out, 3, stride=2)]
            self.extra_blocks.append(nn.Sequential(conv(in_channels, mid), *reduction))
            in_channels, stride = out, stride * 2
            self.feature_info[f"extra{number}"] = FeatureInfo(out, stride)
        initialize(self.extra_blocks, "normal")

    def forward(self, images: Tensor) -> Features:
        features = dict(self.backbone(images))
        x = features[self._coarsest]
        for number, block in enumerate(self.extra_blocks, start=1):
            x = features[f"extra{number}"] = block(x)
        return features

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of the ``backbone`` in torchvision's ``ssdlite320_mobilenet_v3_large``.

        torchvision cuts the classifier's layers in two after the expansion that SSDLite reads.

        Raises:
            ValueError: another library, or a backbone other than MobileNetV3 with c4_expand and last.
        """
        inner = self.backbone
        is_published = (
            library == "torchvision"
            and isinstance(inner, MobileNet)
            and inner.architecture.version == 3
            and list(inner.feature_info) == ["c4_expand", "last"]
            and all(len(block) == 3 for block in self.extra_blocks)  # type: ignore[arg-type]
        )
        if not is_published or not isinstance(inner, MobileNet):
            raise ValueError(
                f"{library} has no such form: choose 'torchvision' for MobileNetV3 with c4_expand and last."
            )
        cut = feature_taps(inner.architecture)["c4_expand"].block + 1
        names = {
            f"backbone.{ours}": _after_cut(theirs, cut)
            for ours, theirs in inner.published_names("torchvision").items()
        }
        for block in range(len(self.extra_blocks)):
            for layer in range(3):
                ours, theirs = f"extra_blocks.{block}.{layer}", f"extra.{block}.{layer}"
                names |= {f"{ours}.conv": f"{theirs}.0", f"{ours}.norm": f"{theirs}.1"}
        return names


def _after_cut(name: str, cut: int) -> str:
    """A classifier's module ``features.I.REST`` where layer ``cut`` is split after its expansion."""
    _, index, rest = name.split(".", 2)
    if int(index) != cut:
        half, first = (0, 0) if int(index) < cut else (1, cut)
        return f"features.{half}.{int(index) - first}.{rest}"
    _, position, rest = rest.split(".", 2)
    return f"features.0.{cut}.{rest}" if position == "0" else f"features.1.0.{position}.{rest}"
