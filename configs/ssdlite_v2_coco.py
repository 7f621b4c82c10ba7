"""SSDLite, MobileNetV2, COCO at 320x320 (arXiv:1801.04381, table 6).

    python tools/train.py configs/ssdlite_v2_coco.py data.root=/data/coco

Expected: 22.1 AP on test-dev (paper); 21.3 on val2017 (mmdetection, from scratch, 600 epochs of
192 images, with other anchors and taps). Starts from published ImageNet weights; otherwise the
recipe of ``ssdlite_v3_large_coco`` at a tenth of its learning rate, as mmdetection found for V2,
with SSD's whole augmentation. Not trained here: days on 8 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch.optim import SGD

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.ssdlite_v3_large_coco import config as base
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import CocoDataModule, DetectionAugmentation
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask


def model(
    class_names: Sequence[str | None],
    image_size: Size = (320, 320),
    width_mult: float = 1.0,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 300,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Detector:
    """The first map is the expansion of bottleneck 14, the second the last 1x1 convolution."""
    backbone = mobilenet_v2(
        width_mult=width_mult,
        out_features=("c4_expand", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, padding=padding),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=TensorFlowAnchors(),
        postprocess=SSDPostprocess().giving(max_detections),
        mean=mean,
        std=std,
    )


config = replace(
    base,
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=SSDLoss(),
        optimizer=partial(SGD, lr=0.015, momentum=0.9, weight_decay=4e-5),
        reference_batch=192,
        warmup_steps=500,
    ),
    data=partial(CocoDataModule, root="data/coco", batch_size=24, augmentation=DetectionAugmentation()),
)
