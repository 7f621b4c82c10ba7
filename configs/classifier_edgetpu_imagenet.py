"""MobileNetEdgeTPU classifier, ImageNet at 224x224 (TensorFlow's slim, ``V3_EDGETPU``).

    python tools/train.py configs/classifier_edgetpu_imagenet.py data.root=/data/imagenet

Expected: top-1 0.756 (slim's README, 8 bits). Not trained here: weeks on one GPU.

No recipe was published: that of ``classifier_v3_large_imagenet`` is taken. Dropout (0.2) and BatchNorm
(a decay of 0.997) are slim's, and so is what it makes of pixels, x / 127.5 - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_edgetpu
from pocketvision.configs.classifier_v3_large_imagenet import config as base
from pocketvision.core.layers import Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier


def model(
    class_names: Sequence[str | None],
    image_size: Size = (224, 224),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    norm_momentum: float = 0.003,
    padding: Padding = "torch",
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
    std: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> Classifier:
    """``padding``, ``mean`` and ``std`` are those of the weights: "same", 0.5 and 0.5 for TensorFlow's."""
    backbone = mobilenet_edgetpu(
        width_mult=width_mult,
        out_features=("last",),
        weights=weights,
        norm_momentum=norm_momentum,
        padding=padding,
    )
    return Classifier(
        backbone=backbone,
        head=partial(ClassifierHead, dropout=0.2),
        class_names=class_names,
        resize=Resize(image_size, mode="crop", crop_share=0.875, antialias=True),
        mean=mean,
        std=std,
    )


config = replace(base, model=partial(model, image_size=(224, 224)))
