"""LR-ASPP, MobileNetV2, CamVid at 360x480, from published ImageNet weights.

python tools/train.py configs/lraspp_v2_camvid.py data.root=/data/camvid

"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import mobilenet_v2
from pocketvision.core.config import Experiment
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import MaskFolderDataModule, SegmentationAugmentation
from pocketvision.heads import LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask

CAMVID_NAMES = (
    "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car",
    "pedestrian", "bicyclist",
)  # fmt: skip
VOID = 11


def model(
    class_names: Sequence[str | None],
    image_size: Size = (360, 480),
    weights: str | Path | None = "imagenet",
) -> Segmenter:
    backbone = mobilenet_v2(output_stride=16, out_features=("c2_depthwise", "c5"), weights=weights)
    return Segmenter(
        backbone=backbone,
        head=partial(LRASPPHead, low="c2_depthwise", high="c5"),
        class_names=class_names,
        resize=Resize(image_size),
    )


config = Experiment(
    class_names=CAMVID_NAMES,
    model=partial(model, image_size=(360, 480)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.01, fused=True),
        reference_batch=8,
        warmup_steps=100,
        schedule="poly",
    ),
    data=partial(
        MaskFolderDataModule,
        root="data/camvid",
        ignore_ids=(VOID,),
        batch_size=8,
        augmentation=SegmentationAugmentation(scale=(0.75, 1.5), crop_size=(288, 288)),
    ),
    trainer={"max_epochs": 35, "check_val_every_n_epoch": 7},
)
