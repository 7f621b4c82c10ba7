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
from typing import Literal

from torch import nn
from torch.optim import AdamW

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.core.config import Experiment
from pocketvision.core.protocols import Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import ClassificationAugmentation, ImageFolderDataModule
from pocketvision.heads import ClassifierHead
from pocketvision.losses import ClassificationCrossEntropy
from pocketvision.models import Classifier
from pocketvision.tasks import ClassificationTask

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "v1": mobilenet_v1, "v2": mobilenet_v2, "v3_large": mobilenet_v3_large, "v3_small": mobilenet_v3_small,
}  # fmt: skip
FAMILIES: dict[str, Callable[..., nn.Module]] = {"classifier": ClassifierHead}
HIDDEN_CHANNELS = {"v1": None, "v2": None, "v3_large": 1280, "v3_small": 1024}

AUGMENTATION = ClassificationAugmentation(crop_scale=(0.35, 1.0), hue=0.05)


def model(
    class_names: Sequence[str | None],
    backbone: Literal["v1", "v2", "v3_large", "v3_small"] = "v3_small",
    image_size: Size = (224, 224),
    norm_momentum: float = 0.03,
    weights: str | Path | None = "imagenet",
) -> Classifier:
    """The published classifier with a new last layer; torchvision has no file for V1."""
    feature = "c5" if backbone == "v1" else "last"
    body = BACKBONES[backbone](out_features=(feature,), weights=weights, norm_momentum=norm_momentum)
    return Classifier(
        backbone=body,
        head=partial(ClassifierHead, feature=feature, hidden_channels=HIDDEN_CHANNELS[backbone]),
        class_names=class_names,
        resize=Resize(image_size, mode="crop", crop_share=0.875, antialias=True),
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
