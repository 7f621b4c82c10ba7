"""SSDLite (arXiv:1801.04381) on any MobileNet, for your own boxes.

    python tools/train.py --data PATH --model ssdlite_v3_small

This file alone trains on COCO JSON: python tools/train.py configs/own_detection.py data.root=/data/mine

Expected: AP that depends on the data; ``ssdlite_v2_bccd``, tuned by hand for 292 images, reaches 0.607.
``train --data`` writes a config that replaces the anchors and the recipe with what fits the data; here
they are for objects of every size and a few thousand images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn
from torch.optim import AdamW

from pocketvision.backbones import WithExtraBlocks, WithPAN
from pocketvision.backbones.by_name import build_with, find_builder
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.protocols import Anchors, Backbone
from pocketvision.core.resize import PixelFormat, Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import CocoDataModule, DetectionAugmentation
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask

FAMILIES: dict[str, Callable[..., nn.Module]] = {"ssdlite": SSDLiteHead}
TAPS, PLAIN_TAPS = ("c3_expand", "c4_expand", "last"), ("c3", "c4", "c5")
ANCHORS = TorchvisionAnchors(min_scale=0.08, max_scale=0.8)

# Milder than SSD's own, which is for hundreds of epochs.
AUGMENTATION = DetectionAugmentation(
    expand_probability=0.3, expand_ratio=(1.0, 2.0), crop_probability=0.5, min_crop_side=0.5
)


def model(
    class_names: Sequence[str | None],
    backbone: str = "v3_small",
    image_size: Size = (320, 320),
    anchors: Anchors = ANCHORS,
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
    pyramid_channels: int | None = None,
    padding: Padding = "torch",
) -> Detector:
    """Taps at stride 8 (for small objects), 16 and 32, and one extra block at 64.

    With ``pyramid_channels`` the taps go through a path aggregation network of that width instead.

    The backbone's last blocks are whole, not halved as in the paper: published ImageNet weights fit. Of
    crowded pictures more than ``max_detections`` candidates of a class must enter NMS.
    """
    given = {"weights": weights, "widths": widths, "forms": forms}
    options = {**given, "norm_momentum": norm_momentum, "in_channels": in_channels, "padding": padding}
    body = build_with(find_builder(backbone), TAPS, PLAIN_TAPS, **options)
    resize = Resize(image_size, mode=mode, pixels=PixelFormat(in_channels, value_range))
    return ssdlite_on(
        body, class_names, resize, anchors, norm_momentum, max_detections, pyramid_channels,
        mean=mean, std=std, padding=padding,
    )  # fmt: skip


def ssdlite_on(
    body: Backbone,
    class_names: Sequence[str | None],
    resize: Resize,
    anchors: Anchors = ANCHORS,
    norm_momentum: float = 0.03,
    max_detections: int = 100,
    pyramid_channels: int | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    padding: Padding = "torch",
) -> Detector:
    """SSDLite on a backbone with three features, at stride 8, 16 and 32."""
    if pyramid_channels is None:
        pyramid: Backbone = WithExtraBlocks(
            body, channels=(256,), padding=padding, norm_momentum=norm_momentum
        )
    else:
        pyramid = WithPAN(body, pyramid_channels, norm_momentum=norm_momentum)
    return Detector(
        backbone=pyramid,
        head=partial(FAMILIES["ssdlite"], norm_momentum=norm_momentum),
        class_names=class_names,
        resize=resize,
        anchors=anchors,
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100).giving(max_detections),
        mean=mean,
        std=std,
    )


config = Experiment(
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=SSDLoss(),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
        backbone_lr_factor=0.4,
    ),
    data=partial(
        CocoDataModule,
        root="data/mine",
        batch_size=8,
        augmentation=AUGMENTATION,
    ),
    trainer={"max_epochs": 60, "check_val_every_n_epoch": 12},
    recipe="auto",
)
