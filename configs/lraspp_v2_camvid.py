"""LR-ASPP, MobileNetV2, CamVid (images of 360x480, enlarged to 480x640), from published ImageNet weights.

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
# Share of each class in the training masks to the power -0.4, mean 1: rare classes count more.
CLASS_WEIGHTS = (0.44, 0.39, 1.38, 0.34, 0.75, 0.55, 1.28, 1.31, 0.67, 1.63, 2.25)


def model(
    class_names: Sequence[str | None],
    image_size: Size = (480, 640),
    weights: str | Path | None = "imagenet",
) -> Segmenter:
    """Enlarged input and two low features instead of the paper's one: poles and signs are thin."""
    backbone = mobilenet_v2(
        output_stride=16, out_features=("c2_depthwise", "c3_depthwise", "c5"), weights=weights
    )
    return Segmenter(
        backbone=backbone,
        head=partial(LRASPPHead, low=("c3_depthwise", "c2_depthwise"), high="c5"),
        class_names=class_names,
        resize=Resize(image_size),
    )


config = Experiment(
    class_names=CAMVID_NAMES,
    model=partial(model, image_size=(480, 640)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(class_weights=CLASS_WEIGHTS),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.01, fused=True),
        reference_batch=8,
        warmup_steps=100,
        schedule="poly",
        backbone_lr_factor=0.4,
    ),
    data=partial(
        MaskFolderDataModule,
        root="data/camvid",
        ignore_ids=(VOID,),
        batch_size=8,
        augmentation=SegmentationAugmentation(scale=(0.6, 1.4), crop_size=(320, 320), brightness=0.4),
    ),
    trainer={"max_epochs": 24, "check_val_every_n_epoch": 12},
)
