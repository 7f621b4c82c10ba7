"""GFL (arXiv:2006.04388) on a path aggregation network, MobileNetV3-Large, COCO at 320x320.

    python tools/train.py configs/gfl_v3_large_coco.py data.root=/data/coco

Expected: between 27 and 32 AP on val2017, by its published relatives of about this cost: NanoDet-Plus-m has
27.0 at 320 (RangiLyu/nanodet), PicoDet on this backbone 35.6 at 416 (PaddleDetection). 0.61 G multiply-adds
and 3.22 M parameters with 80 classes; ``ssdlite_v3_large_coco`` has 0.56 G and 3.30 M. Pyramid, head, rate
guide and number of epochs are NanoDet-Plus', the width is PicoDet's. Not trained here: days on 8 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import WithPAN, mobilenet_v3_large
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import CocoDataModule, DetectionAugmentation
from pocketvision.heads import GFLHead
from pocketvision.heads.assign_guide import AssignGuide
from pocketvision.losses import DynamicSoftLabelAssigner, GFLLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask


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
    """As the papers', on c3, c4 and c5."""
    body = mobilenet_v3_large(
        width_mult=width_mult,
        out_features=("c3", "c4", "c5"),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=0.03,
        padding=padding,
    )
    return on_pyramid(body, class_names, image_size, max_detections, mean=mean, std=std)


def on_pyramid(
    body: Backbone,
    class_names: Sequence[str | None],
    image_size: Size,
    max_detections: int,
    depth: int = 2,
    channels: int = 128,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Detector:
    """Anchors 7 strides wide and 8 values a side: distances are in whole strides, as in the paper."""
    return Detector(
        backbone=WithPAN(body, channels),
        head=partial(GFLHead, depth=depth),
        class_names=class_names,
        resize=Resize(image_size),
        anchors=CellAnchors(7.0),
        postprocess=SSDPostprocess(iou_threshold=0.6, max_detections=100, coder=DistanceBoxCoder()).giving(
            max_detections
        ),
        score_function="sigmoid",
        mean=mean,
        std=std,
    )


config = Experiment(
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=GFLLoss(assigner=DynamicSoftLabelAssigner(), kind="quality"),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05),
        reference_batch=96,
        warmup_steps=500,
        ema_decay=0.9998,
        guide=AssignGuide,
    ),
    data=partial(
        CocoDataModule,
        root="data/coco",
        batch_size=96,
        augmentation=DetectionAugmentation(expand_ratio=(1.0, 1.7), min_crop_side=0.6),
    ),
    trainer={
        "max_epochs": 300, "check_val_every_n_epoch": 10, "precision": "auto", "gradient_clip_val": 35.0,
    },
)  # fmt: skip
