"""SSDLite, MobileNetV3-Small, COCO at 320x320 (arXiv:1905.02244, table 6, "V3-Small+").

    python tools/train.py configs/ssdlite_v3_small_coco.py data.root=/data/coco

Expected: 16.1 AP on test-dev (paper), 15.4 on minival2014 (TensorFlow's zoo, 800k steps of 512
images). The recipe here is that of ``ssdlite_v3_large_coco``. Not trained here: days on 8 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.ssdlite_v3_large_coco import config as base
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.layers import Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import SSDLiteHead
from pocketvision.models import Detector, SSDPostprocess


def model(
    class_names: Sequence[str | None],
    image_size: Size = (320, 320),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 300,
    padding: Padding = "torch",
    mean: tuple[float, ...] = (0.5, 0.5, 0.5),
    std: tuple[float, ...] = (0.5, 0.5, 0.5),
) -> Detector:
    """SSDLite on the reduced backbone with TensorFlow's anchors, as published."""
    backbone = mobilenet_v3_small(
        width_mult=width_mult,
        reduced_tail="detection",
        out_features=("c4_expand", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=0.03,
        padding=padding,
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, padding=padding),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=TensorFlowAnchors(),
        mean=mean,
        std=std,
        postprocess=SSDPostprocess().giving(max_detections),
    )


config = replace(base, model=partial(model, image_size=(320, 320)))
