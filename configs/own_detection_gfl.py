"""GFL (arXiv:2006.04388) on a path aggregation network over any MobileNet, for your own boxes: what ``train
--data PATH`` starts from.

    python tools/train.py --data PATH [--model gfl_v3_small]

This file alone trains on COCO JSON: python tools/train.py configs/own_detection_gfl.py data.root=/data/mine

Expected: AP that depends on the data; on BCCD 0.57 where SSDLite has 0.55 after 6 epochs of 292 images
(MobileNetV2), 0.619 and 0.607 after 24 (docs/results.md).
``train --data`` writes a config that replaces the anchors, which say what an untrained head predicts, and the
recipe with what fits the data; here they are for objects of every size and a few thousand images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn
from torch.optim import AdamW

from pocketvision.backbones import WithPAN
from pocketvision.backbones.by_name import build_with, find_builder
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs import own_detection as base
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.protocols import Anchors, Backbone
from pocketvision.core.resize import PixelFormat, Resize
from pocketvision.core.structures import Size
from pocketvision.heads import GFLHead
from pocketvision.losses import GFLLoss, TaskAlignedAssigner
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask

FAMILIES: dict[str, Callable[..., nn.Module]] = {"gfl": GFLHead}
AUGMENTATION = base.AUGMENTATION
ANCHORS = CellAnchors(7.0)
CHANNELS = {"v3_small": 64}


def model(
    class_names: Sequence[str | None],
    backbone: str = "v3_small",
    image_size: Size = (320, 320),
    anchors: Anchors = ANCHORS,
    channels: int | None = None,
    reg_max: int = 7,
    norm_momentum: float = 0.03,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    in_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    max_detections: int = 100,
    mode: Literal["stretch", "letterbox"] = "stretch",
    padding: Padding = "torch",
) -> Detector:
    """Maps of stride 8, 16, 32 and 64; ``reg_max=0`` has no distributions of distances.

    They are ``channels`` wide, or as wide as leaves the detector about as fast as SSDLite on that backbone.
    """
    channels = channels or CHANNELS.get(backbone, 96)
    given = {"weights": weights, "widths": widths, "forms": forms}
    options = {**given, "norm_momentum": norm_momentum, "in_channels": in_channels, "padding": padding}
    body = build_with(find_builder(backbone), ("c3", "c4", "c5"), **options)
    resize = Resize(image_size, mode=mode, pixels=PixelFormat(in_channels, value_range))
    return gfl_on(
        body,
        class_names,
        resize,
        anchors,
        channels,
        norm_momentum,
        max_detections,
        reg_max,
        mean=mean,
        std=std,
    )


def gfl_on(
    body: Backbone,
    class_names: Sequence[str | None],
    resize: Resize,
    anchors: Anchors = ANCHORS,
    channels: int = 96,
    norm_momentum: float = 0.03,
    max_detections: int = 100,
    reg_max: int = 7,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Detector:
    """GFL on a backbone with three features, at stride 8, 16 and 32."""
    return Detector(
        backbone=WithPAN(body, channels, norm_momentum=norm_momentum),
        head=partial(FAMILIES["gfl"], reg_max=reg_max, norm_momentum=norm_momentum),
        class_names=class_names,
        resize=resize,
        anchors=anchors,
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100, coder=DistanceBoxCoder()).giving(
            max_detections
        ),
        score_function="sigmoid",
        mean=mean,
        std=std,
    )


config = replace(
    base.config,
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        # A truth's best point is to score 1, so that rare and small classes do not wait for good boxes.
        loss=GFLLoss(assigner=TaskAlignedAssigner(normalized=True), kind="quality"),
        # The pyramid and the head start from random weights, and have few steps.
        optimizer=partial(AdamW, lr=2e-2, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
        backbone_lr_factor=0.02,
    ),
)
