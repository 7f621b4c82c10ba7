"""GFL (arXiv:2006.04388) on a path aggregation network, MobileNetV2, COCO at 320x320.

    python tools/train.py configs/gfl_v2_coco.py data.root=/data/coco

Expected: between 27 and 32 AP on val2017, by its published relatives (see ``gfl_v3_large_coco``). 0.84 G
multiply-adds and 2.39 M parameters with 80 classes; ``ssdlite_v2_coco`` has 0.79 G and 4.34 M. The recipe is
that of ``gfl_v3_large_coco``. Not trained here: days on 8 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.gfl_v3_large_coco import config as base
from pocketvision.configs.gfl_v3_large_coco import on_pyramid
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.structures import Size
from pocketvision.models import Detector


def model(
    class_names: Sequence[str | None],
    image_size: Size = (320, 320),
    width_mult: float = 1.0,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 100,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Detector:
    """PicoDet's four separable blocks a map in the head: V2 leaves room for them."""
    body = mobilenet_v2(
        width_mult=width_mult,
        out_features=("c3", "c4", "c5"),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=0.03,
        padding=padding,
    )
    return on_pyramid(body, class_names, image_size, max_detections, depth=4, mean=mean, std=std)


config = replace(base, model=partial(model, image_size=(320, 320)))
