"""A street in one forward pass: boxes (GFL) and a map (LR-ASPP) on one MobileNetV2, at 360x480.

    python tools/train.py configs/street_v2.py

with data.parts.detection.root=/data/coco data.parts.segmentation.root=/data/camvid, where they lie.

Expected: boxes of seven classes of COCO and a map of CamVid's eleven for 0.55 of the multiply-adds of two
models. Heads and losses are those of ``own_detection_gfl`` and ``lraspp_v2_camvid``, the latter at stride 32.
Not trained on all of COCO here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import WithPAN, mobilenet_v2
from pocketvision.configs.lraspp_v2_camvid import CAMVID_NAMES, CLASS_WEIGHTS, VOID
from pocketvision.configs.own_detection import AUGMENTATION
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size, join_names, names_by_task
from pocketvision.datasets import (
    CocoDataModule,
    JointDataModule,
    MaskFolderDataModule,
    SegmentationAugmentation,
)
from pocketvision.heads import GFLHead, LRASPPHead
from pocketvision.losses import GFLLoss, SegmentationCrossEntropy, TaskAlignedAssigner
from pocketvision.models import Detector, JointModel, Segmenter, SharedBackbone, SSDPostprocess
from pocketvision.tasks import DetectionTask, JointTask, SegmentationTask

STREET_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light")


def model(
    class_names: Sequence[str | None],
    image_size: Size = (360, 480),
    weights: str | Path | None = "imagenet",
    max_detections: int = 100,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> JointModel:
    """Boxes from c3, c4 and c5 in a pyramid; the map from c5 at stride 32, with strides 16, 8 and 4."""
    names, resize = names_by_task(class_names), Resize(image_size)
    body = mobilenet_v2(
        out_features=("c2_depthwise", "c3", "c3_depthwise", "c4", "c5"),
        weights=weights,
        norm_momentum=0.03,
        padding=padding,
    )
    boxes = Detector(
        backbone=WithPAN(SharedBackbone(body, ("c3", "c4", "c5"))),
        head=GFLHead,
        class_names=names["detection"],
        resize=resize,
        mean=mean,
        std=std,
        anchors=CellAnchors(7.0),
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100, coder=DistanceBoxCoder()).giving(
            max_detections
        ),
        score_function="sigmoid",
    )
    street = Segmenter(
        backbone=SharedBackbone(body, ("c2_depthwise", "c3_depthwise", "c4", "c5")),
        head=partial(LRASPPHead, low=("c4", "c3_depthwise", "c2_depthwise"), high="c5"),
        class_names=names["segmentation"],
        resize=resize,
        mean=mean,
        std=std,
    )
    return JointModel(body, boxes, street)


MAP_TASK = partial(SegmentationTask, loss=SegmentationCrossEntropy(class_weights=CLASS_WEIGHTS))

config = Experiment(
    class_names=join_names({"detection": STREET_NAMES, "segmentation": CAMVID_NAMES}),
    model=partial(model, image_size=(360, 480)),
    task=partial(
        JointTask,
        tasks={
            "detection": partial(
                DetectionTask, loss=GFLLoss(assigner=TaskAlignedAssigner(normalized=True), kind="quality")
            ),
            "segmentation": MAP_TASK,
        },
        loss_weights={"detection": 1.0, "segmentation": 1.0},
        balance="gradient_norm",
        norms_until=0.5,
        optimizer=partial(AdamW, lr=2e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=500,
        backbone_lr_factor=0.2,
    ),
    data=partial(
        JointDataModule,
        parts={
            "detection": partial(CocoDataModule, root="data/coco", augmentation=AUGMENTATION),
            "segmentation": partial(
                MaskFolderDataModule,
                root="data/camvid",
                ignore_ids=(VOID,),
                augmentation=SegmentationAugmentation(scale=(0.7, 1.6), crop_size=(288, 288), brightness=0.4),
            ),
        },
        shares={"detection": 0.75, "segmentation": 0.25},
        batch_size=8,
    ),
    trainer={"max_steps": 200_000, "precision": "auto"},
)
