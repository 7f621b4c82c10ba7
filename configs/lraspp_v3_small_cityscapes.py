"""LR-ASPP, MobileNetV3-Small, Cityscapes (arXiv:1905.02244, table 7, row 11).

    python tools/train.py configs/lraspp_v3_small_cityscapes.py data.root=/data/cityscapes

Expected: 68.38 mIoU on val at 1024x2048 (paper). The recipe is that of
``lraspp_v3_large_cityscapes``. Not trained here: days on 4 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.lraspp_v3_large_cityscapes import config as base
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import LRASPPHead
from pocketvision.models import Segmenter


def model(
    class_names: Sequence[str | None],
    image_size: Size = (1024, 2048),
    width_mult: float = 1.0,
    output_stride: int = 16,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """Reduced backbone, skip from the depthwise tensor at stride 8, 128 channels."""
    backbone = mobilenet_v3_small(
        width_mult=width_mult,
        output_stride=output_stride,
        reduced_tail="segmentation",
        out_features=("c3_depthwise", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=LRASPPHead,
        class_names=class_names,
        resize=Resize(image_size),
        mean=mean,
        std=std,
    )


config = replace(base, model=partial(model, image_size=(1024, 2048)))
