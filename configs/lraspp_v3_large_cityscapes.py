"""LR-ASPP, MobileNetV3-Large, Cityscapes (arXiv:1905.02244, table 7, row 8).

    python tools/train.py configs/lraspp_v3_large_cityscapes.py data.root=/data/cityscapes

Expected: 72.36 mIoU on val at 1024x2048 (paper; single scale, fine annotations only). TensorFlow's
DeepLab trains 90k steps from scratch on crops of 769x769; the schedule here follows it with SGD and
poly decay. Not trained here: days on 4 GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import SGD

from pocketvision.backbones import mobilenet_v3_large
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import CITYSCAPES_NAMES, CityscapesDataModule, SegmentationAugmentation
from pocketvision.heads import LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask


def model(
    class_names: Sequence[str | None],
    image_size: Size = (1024, 2048),
    width_mult: float = 1.0,
    output_stride: int = 16,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """Reduced backbone, skip from the depthwise tensor at stride 8, 128 channels."""
    backbone = mobilenet_v3_large(
        width_mult=width_mult,
        output_stride=output_stride,
        reduced_tail="segmentation",
        out_features=("c3_depthwise", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=LRASPPHead,
        class_names=class_names,
        resize=Resize(image_size),
        mean=mean,
        std=std,
    )


config = Experiment(
    class_names=CITYSCAPES_NAMES,
    model=partial(model, image_size=(1024, 2048)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(),
        optimizer=partial(SGD, lr=0.01, momentum=0.9, weight_decay=4e-5),
        reference_batch=16,
        warmup_steps=1000,
        schedule="poly",
    ),
    data=partial(
        CityscapesDataModule,
        root="data/cityscapes",
        batch_size=4,
        eval_batch_size=1,
        augmentation=SegmentationAugmentation(scale=(0.5, 2.0), crop_size=(769, 769)),
    ),
    trainer={"max_steps": 90_000, "check_val_every_n_epoch": 20, "precision": "auto"},
)
