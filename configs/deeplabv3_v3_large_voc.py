"""DeepLabv3 in torchvision's form, MobileNetV3-Large, Pascal VOC 2012 at 520x520.

    python tools/train.py configs/deeplabv3_v3_large_voc.py data.root=/data/VOCdevkit/VOC2012

Expected: not measured here. torchvision publishes 60.3 mIoU for its ``deeplabv3_mobilenet_v3_large``
(11,029,328 parameters) with the 21 VOC classes, trained on 92k images of COCO and scored on COCO
val2017. This is the same model and recipe, an auxiliary head with half of the loss included, on VOC's
images as in ``lraspp_v3_large_voc``; ``model.weights=coco-voc`` starts from torchvision's published file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v3_large
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs import lraspp_v3_large_voc as base
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import DeepLabV3Head, FCNHead
from pocketvision.models import Segmenter


def model(
    class_names: Sequence[str | None],
    image_size: Size = (520, 520),
    width_mult: float = 1.0,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """Full backbone at output stride 16, atrous rates 12, 24, 36."""
    backbone = mobilenet_v3_large(
        width_mult=width_mult,
        output_stride=16,
        dilation_rule="torchvision",
        out_features=("c3_first", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=partial(DeepLabV3Head, form="torchvision", feature="last"),
        class_names=class_names,
        resize=Resize(image_size, mode="letterbox"),
        auxiliary_head=FCNHead,
        mean=mean,
        std=std,
    )


config = replace(base.config, model=partial(model, image_size=(520, 520)))
