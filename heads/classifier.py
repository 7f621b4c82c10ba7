"""The classifiers of MobileNetV1, V2 and V3."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pocketvision.core.layers import Activation, initialize
from pocketvision.core.protocols import Library
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.heads.feature_names import find_feature


class ClassifierHead(nn.Module):
    """Features -> class_logits (N, num_classes): global average, dropout, fully connected layer.

    With ``hidden_channels`` a layer with bias and ``hidden_activation`` comes before the dropout, as in
    MobileNetV3: 1280 for Large, 1024 for Small (arXiv:1905.02244, tables 1 and 2, "NBN"); it is a 1x1
    convolution of the averaged map, so it has 4-d weights. V1 and V2 have none (arXiv:1704.04861,
    table 1; arXiv:1801.04381, table 2); V1 reads ``feature="c5"``.

    Weights start from a normal distribution with std 0.01 and biases at 0, as in torchvision.

    Raises:
        ValueError: the backbone does not give ``feature``.
    """

    def __init__(
        self,
        feature_info: Mapping[str, FeatureInfo],
        num_classes: int,
        hidden_channels: int | None = None,
        feature: str = "last",
        dropout: float = 0.2,
        hidden_activation: Activation = nn.Hardswish,
    ) -> None:
        super().__init__()
        self.feature = feature
        channels = find_feature(feature_info, feature).channels
        self.hidden: nn.Module = nn.Identity()
        if hidden_channels is not None:
            self.hidden = nn.Conv2d(channels, hidden_channels, 1)
        self.activation = hidden_activation() if hidden_channels is not None else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.class_logits = nn.Linear(hidden_channels or channels, num_classes)
        initialize(self, "normal", std=0.01)
        nn.init.normal_(self.class_logits.weight, std=0.01)
        nn.init.zeros_(self.class_logits.bias)

    def forward(self, features: Features) -> Tensor:
        pooled = features[self.feature].mean((2, 3), keepdim=True)
        hidden = self.activation(self.hidden(pooled)).flatten(1)
        class_logits: Tensor = self.class_logits(self.dropout(hidden))
        return class_logits

    def class_layers(self) -> list[str]:
        """Names of the layers with rows for classes."""
        return ["class_logits"]

    def published_names(self, library: Library) -> dict[str, str]:
        """Our modules -> those of the library's classification models, relative to the whole model.

        torchvision's hidden layer is a ``Linear``: its weight (C, D) is ours (C, D, 1, 1).

        Raises:
            ValueError: an unknown library.
        """
        has_hidden = isinstance(self.hidden, nn.Conv2d)
        if library == "torchvision":
            if has_hidden:
                return {"hidden": "classifier.0", "class_logits": "classifier.3"}
            return {"class_logits": "classifier.1"}
        if library == "timm":
            return {**({"hidden": "conv_head"} if has_hidden else {}), "class_logits": "classifier"}
        raise ValueError(f"library is {library!r}: choose 'torchvision' or 'timm'.")
