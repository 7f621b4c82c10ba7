"""MobileNetV3-Small classifier, ImageNet at 224x224 (arXiv:1905.02244, table 3).

    python tools/train.py configs/classifier_v3_small_imagenet.py data.root=/data/imagenet

Expected: top-1 0.674 (paper), 0.67668 (torchvision's file). Not trained here: weeks on one GPU.

The recipe is that of ``classifier_v3_large_imagenet``. The layer after the pooling has 1024
channels, as in all published weights and the paper's last version; the ICCV version prints 1280.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.classifier_v3_large_imagenet import config as base
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier


def model(
    class_names: Sequence[str | None],
    image_size: Size = (224, 224),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    norm_momentum: float = 0.01,
    minimalistic: bool = False,
    padding: Padding = "torch",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> Classifier:
    """The layer of 1024 after the pooling is not scaled by width_mult.

    ``minimalistic`` is TensorFlow's variant with ReLU and 3x3 kernels only and without
    squeeze-and-excitation. ``padding``, ``mean`` and ``std`` are those of the weights: "same", 0.5 and
    0.5 for TensorFlow's.
    """
    backbone = mobilenet_v3_small(
        width_mult=width_mult,
        out_features=("last",),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=norm_momentum,
        minimalistic=minimalistic,
        padding=padding,
    )
    activation = nn.ReLU if minimalistic else nn.Hardswish
    return Classifier(
        backbone=backbone,
        head=partial(ClassifierHead, hidden_channels=1024, hidden_activation=activation),
        class_names=class_names,
        resize=Resize(image_size, mode="crop", crop_share=0.875, antialias=True),
        mean=mean,
        std=std,
    )


config = replace(base, model=partial(model, image_size=(224, 224)))
