"""A street in one forward pass: boxes (SSDLite) and a map (LR-ASPP) on one MobileNetV3-Large, at 360x480.

    python tools/train.py configs/street_v3_large.py

with data.parts.detection.root=/data/coco data.parts.segmentation.root=/data/camvid, where they lie.

Expected: boxes of seven classes of COCO and a map of CamVid's eleven for 0.55 of the multiply-adds of two
models. Boxes are ``own_detection``'s, data and shares ``street_v2``'s. Not trained on all of COCO here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_large
from pocketvision.configs.own_detection import ANCHORS, TAPS
from pocketvision.configs.street_v2 import MAP_TASK
from pocketvision.configs.street_v2 import config as base
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size, names_by_task
from pocketvision.heads import LRASPPHead, SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, JointModel, Segmenter, SharedBackbone, SSDPostprocess
from pocketvision.tasks import DetectionTask, JointTask

LOW = ("c4", "c3_depthwise", "c2_depthwise")


def model(
    class_names: Sequence[str | None],
    image_size: Size = (360, 480),
    weights: str | Path | None = "imagenet",
    max_detections: int = 100,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> JointModel:
    """Both read the last convolution, at stride 32; boxes also strides 8, 16 and 64, the map 16, 8 and 4."""
    names, resize = names_by_task(class_names), Resize(image_size)
    body = mobilenet_v3_large(
        out_features=(*TAPS, *LOW), weights=weights, norm_momentum=0.03, padding=padding
    )
    boxes = Detector(
        backbone=WithExtraBlocks(SharedBackbone(body, TAPS), channels=(256,), padding=padding),
        head=partial(SSDLiteHead, norm_momentum=0.03),
        class_names=names["detection"],
        resize=resize,
        mean=mean,
        std=std,
        anchors=ANCHORS,
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100).giving(max_detections),
    )
    street = Segmenter(
        backbone=SharedBackbone(body, (*LOW, "last")),
        head=partial(LRASPPHead, low=LOW, high="last"),
        class_names=names["segmentation"],
        resize=resize,
        mean=mean,
        std=std,
    )
    return JointModel(body, boxes, street)


config = replace(
    base,
    model=partial(model, image_size=(360, 480)),
    task=partial(
        JointTask,
        tasks={"detection": partial(DetectionTask, loss=SSDLoss()), "segmentation": MAP_TASK},
        loss_weights={"detection": 1.0, "segmentation": 1.0},
        balance="gradient_norm",
        norms_until=0.5,
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=500,
        backbone_lr_factor=0.4,
    ),
)
