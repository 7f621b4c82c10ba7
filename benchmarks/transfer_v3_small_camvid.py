"""LR-ASPP, MobileNetV3-Small, CamVid: what weights imported from Google's TFLite file are worth.

Run by benchmarks/transfer.sh. The recipe is that of ``lraspp_v2_camvid``; padding and normalization
are the file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.configs import lraspp_v2_camvid as base
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import LRASPPHead
from pocketvision.models import Segmenter


def model(
    class_names: Sequence[str | None], image_size: Size = (360, 480), weights: str | Path | None = None
) -> Segmenter:
    """Low features at stride 8 and 4, high at 16."""
    backbone = mobilenet_v3_small(
        output_stride=16,
        padding="same",
        out_features=("c2_depthwise", "c3_depthwise", "c5"),
        weights=weights,
        norm_momentum=0.1,
    )
    return Segmenter(
        backbone=backbone,
        head=partial(LRASPPHead, low=("c3_depthwise", "c2_depthwise"), high="c5"),
        class_names=class_names,
        resize=Resize(image_size),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


config = replace(base.config, model=partial(model, image_size=(360, 480)))
