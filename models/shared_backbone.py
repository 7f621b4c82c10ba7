"""The backbone of one head of several: it reads from a backbone that they share, and does not own it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from pocketvision.core.protocols import Backbone
from pocketvision.core.structures import Features


class SharedBackbone(nn.Module):
    """The features ``out_features`` of ``backbone``, which belongs to a :class:`JointModel`.

    A backbone like others: pyramids and heads are built on it. It has no weights of its own, and takes
    either images or what the shared backbone has made of them, which is then not computed again.

    Raises:
        ValueError: the shared backbone has no such feature.
    """

    def __init__(self, backbone: Backbone, out_features: Sequence[str]) -> None:
        super().__init__()
        unknown = [name for name in out_features if name not in backbone.feature_info]
        if unknown:
            known = ", ".join(backbone.feature_info)
            raise ValueError(f"the shared backbone has no feature {unknown[0]!r}: choose from {known}.")
        self._owned_elsewhere = (backbone,)
        """In a tuple, so that its weights are named once, where it belongs."""
        self.known: Features | None = None
        """What the shared backbone has made of the images that come next, where that is known."""
        self.feature_info = {
            name: info for name, info in backbone.feature_info.items() if name in out_features
        }

    @property
    def backbone(self) -> Backbone:
        """What is shared."""
        return self._owned_elsewhere[0]

    def own(self) -> None:
        """Own the shared backbone, as a copy of one part that runs alone does: modes and devices reach it."""
        self.add_module("owned", cast(nn.Module, self.backbone))

    def forward(self, images: Tensor | Features) -> Features:
        features = images if isinstance(images, Mapping) else self.known or self.backbone(images)
        return {name: features[name] for name in self.feature_info}
