"""MobileNet classifiers for your own folders of classes: what ``train --data PATH`` starts from.

    python tools/train.py --data PATH [--model classifier_v3_small]

This file alone: python tools/train.py configs/own_classification.py data.root=/data/mine

Expected: top-1 that depends on the data; not measured on any yet. ``train --data`` writes a config that
replaces the recipe with what fits the data; here it is for a few thousand images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import nn
from torch.optim import AdamW

from pocketvision.backbones.by_name import build_with, find_builder, hidden_channels
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import ClassificationAugmentation, ImageFolderDataModule
from pocketvision.heads import ClassifierHead
from pocketvision.losses import ClassificationCrossEntropy
from pocketvision.models import Classifier
from pocketvision.tasks import ClassificationTask

FAMILIES: dict[str, Callable[..., nn.Module]] = {"classifier": ClassifierHead}

AUGMENTATION = ClassificationAugmentation(crop_scale=(0.35, 1.0), hue=0.05)


def model(
    class_names: Sequence[str | None],
    backbone: str = "v3_small",
    image_size: Size = (224, 224),
    norm_momentum: float = 0.03,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Classifier:
    """The published classifier with a new last layer; torchvision has no file for V1."""
    builder = find_builder(backbone)
    body = build_with(
        builder,
        ("last",),
        ("c5",),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=norm_momentum,
        padding=padding,
    )
    (feature,) = body.feature_info
    head = partial(FAMILIES["classifier"], feature=feature, hidden_channels=hidden_channels(builder))
    return Classifier(
        backbone=body,
        head=head,
        class_names=class_names,
        resize=Resize(image_size, mode="crop", crop_share=0.875, antialias=True),
        mean=mean,
        std=std,
    )


config = Experiment(
    model=partial(model, image_size=(224, 224)),
    task=partial(
        ClassificationTask,
        loss=ClassificationCrossEntropy(),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05, fused=True),
        reference_batch=32,
        warmup_steps=100,
        backbone_lr_factor=0.4,
    ),
    data=partial(
        ImageFolderDataModule,
        root="data/mine",
        batch_size=32,
        augmentation=AUGMENTATION,
    ),
    trainer={"max_epochs": 60, "check_val_every_n_epoch": 12},
    recipe="auto",
)
