"""LR-ASPP (arXiv:1905.02244) or DeepLabv3 on any MobileNet, for your own masks: for ``train --data PATH``.

    python tools/train.py --data PATH [--model lraspp_v3_small]

This file alone trains on VOC: python tools/train.py configs/own_segmentation.py data.root=/data/VOC2012

Expected: mIoU that depends on the data; ``lraspp_v2_camvid``, tuned by hand for 367 images, reaches 0.611.
``train --data`` writes a config that replaces image size, class weights and recipe with what fits the
data; here they are for photographs and a few thousand images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn
from torch.optim import AdamW

from pocketvision.backbones.by_name import build_with, find_builder, hidden_channels
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import PixelFormat, Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import SegmentationAugmentation, VocSegmentationDataModule
from pocketvision.heads import DeepLabV3Head, LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask

FAMILIES: dict[str, Callable[..., nn.Module]] = {"lraspp": LRASPPHead, "deeplabv3": DeepLabV3Head}
LOW, PLAIN_LOW = ("c2_depthwise", "c3_depthwise"), ("c2", "c3")

AUGMENTATION = SegmentationAugmentation(scale=(0.7, 1.6), crop_size=(320, 320), brightness=0.4)


def model(
    class_names: Sequence[str | None],
    backbone: str = "v3_small",
    head: Literal["lraspp", "deeplabv3"] = "lraspp",
    image_size: Size = (384, 512),
    mode: Literal["stretch", "letterbox"] = "letterbox",
    norm_momentum: float = 0.03,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    in_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    padding: Padding = "torch",
) -> Segmenter:
    """Two low features instead of the paper's one for LR-ASPP: thin objects need stride 4.

    V2 is read at c5, without its convolution to 1280, V3 at its last one, as the papers do. DeepLabv3 is
    the mobile form, without atrous branches.
    """
    builder = find_builder(backbone)
    deepest = "c5" if hidden_channels(builder) is None else "last"
    low, plain_low = (LOW, PLAIN_LOW) if head == "lraspp" else ((), ())
    body = build_with(
        builder, (*low, deepest), (*plain_low, "c5"),
        output_stride=16, weights=weights, widths=widths, forms=forms, norm_momentum=norm_momentum,
        in_channels=in_channels, padding=padding,
    )  # fmt: skip
    resize = Resize(image_size, mode=mode, pixels=PixelFormat(in_channels, value_range))
    return map_on(body, class_names, resize, head, mean=mean, std=std)


def map_on(
    body: Backbone,
    class_names: Sequence[str | None],
    resize: Resize,
    head: str = "lraspp",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """A head that reads all features of a backbone, the deepest first."""
    *finer, high = body.feature_info
    options = {"low": finer[::-1], "high": high} if head == "lraspp" else {"form": "raspp", "feature": high}
    return Segmenter(
        backbone=body,
        head=partial(FAMILIES[head], **options),
        class_names=class_names,
        resize=resize,
        mean=mean,
        std=std,
    )


config = Experiment(
    model=partial(model, image_size=(384, 512)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.01, fused=True),
        reference_batch=8,
        warmup_steps=100,
        schedule="poly",
        backbone_lr_factor=0.4,
    ),
    data=partial(
        VocSegmentationDataModule,
        root="data/mine",
        batch_size=8,
        augmentation=AUGMENTATION,
    ),
    trainer={"max_epochs": 60, "check_val_every_n_epoch": 12},
    recipe="auto",
)
