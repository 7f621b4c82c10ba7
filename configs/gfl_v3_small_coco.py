"""GFL (arXiv:2006.04388) on a path aggregation network, MobileNetV3-Small, COCO at 320x320.

    python tools/train.py configs/gfl_v3_small_coco.py data.root=/data/coco

Expected: above the 16.1 AP of SSDLite on this backbone (arXiv:1905.02244, table 6); no relative of this cost
is published at 320. 0.17 G multiply-adds and 1.00 M parameters with 80 classes; ``ssdlite_v3_small_coco`` has
0.16 G and 1.69 M. The recipe is that of ``gfl_v3_large_coco``. Not trained here: days on 8 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v3_small
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
    """As in ``gfl_v3_large_coco``, narrower: at 128 it would take 1.6 times as long as SSDLite."""
    body = mobilenet_v3_small(
        width_mult=width_mult,
        out_features=("c3", "c4", "c5"),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=0.03,
        padding=padding,
    )
    return on_pyramid(body, class_names, image_size, max_detections, channels=64, mean=mean, std=std)


config = replace(base, model=partial(model, image_size=(320, 320)))
