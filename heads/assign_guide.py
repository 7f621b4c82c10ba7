"""A second head that helps a dense one to learn, and is not there afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.gfl import GFLHead

_GROUPS = 8


class AssignGuide(nn.Module):
    """Features -> what :class:`GFLHead` gives, from four full 3x3 convolutions that all maps share.

    It learns faster than a light head, so that what it says decides which points learn which truth
    (NanoDet-Plus' assign guidance module; there it has a pyramid of its own besides). GroupNorm, as its
    maps are of different sizes.

    Raises:
        ValueError: the maps have different numbers of channels, or there are not as many numbers of
            anchors as maps.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_anchors: Sequence[int],
        num_outputs: int,
        reg_max: int = 7,
        depth: int = 4,
    ) -> None:
        super().__init__()
        widths = {info.channels for info in feature_info.values()}
        if len(widths) > 1:
            raise ValueError(f"a guide reads maps of one width, not of {sorted(widths)} channels.")
        layers: list[nn.Module] = []
        for _ in range(depth):
            (channels,) = widths
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            layers += [conv, nn.GroupNorm(_GROUPS, channels), nn.ReLU(inplace=True)]
        self.shared = nn.Sequential(*layers)
        self.head = GFLHead(feature_info, num_anchors, num_outputs, reg_max, depth=0)

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        predicted: tuple[Tensor, ...] = self.head({name: self.shared(x) for name, x in features.items()})
        return predicted
