"""LR-ASPP (arXiv:1905.02244), MobileNetV2, CamVid with images of 360x480, from published ImageNet weights.

python tools/train.py configs/lraspp_v2_camvid.py data.root=/data/camvid

Expected: mIoU 0.611 over 11 classes on the 233 test images (0.684 on val) after 30 epochs on train,
measured here: 38 minutes on 2 cores (Xeon 2.5 GHz) from torchvision's mobilenet_v2-b0353104.pth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
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
    image_size: Size = (360, 480),
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """Two low features instead of the paper's one: poles and signs need stride 4."""
    backbone = mobilenet_v2(
        output_stride=16,
        out_features=("c2_depthwise", "c3_depthwise", "c5"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=partial(LRASPPHead, low=("c3_depthwise", "c2_depthwise"), high="c5"),
        class_names=class_names,
        resize=Resize(image_size),
        mean=mean,
        std=std,
    )


config = Experiment(
    class_names=CAMVID_NAMES,
    model=partial(model, image_size=(360, 480)),
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
        augmentation=SegmentationAugmentation(scale=(0.7, 1.6), crop_size=(288, 288), brightness=0.4),
    ),
    trainer={"max_epochs": 30, "check_val_every_n_epoch": 10},
)
