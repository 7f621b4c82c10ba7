"""MobileNetV3-Large classifier, ImageNet at 224x224 (arXiv:1905.02244, table 3).

    python tools/train.py configs/classifier_v3_large_imagenet.py data.root=/data/imagenet

Expected: top-1 0.752 (paper), 0.74042 (torchvision's first file). Not trained here: weeks on one GPU.

The paper's recipe (sec. 6.1.1): RMSProp with momentum 0.9, a rate of 0.1 for 4096 images, weight
decay 1e-5, an average of the weights with 0.9999, BatchNorm's decay 0.99. It is ambiguous twice.
"Dropout of 0.8" is the share that TensorFlow keeps: 0.2 here. "Learning rate decay rate of 0.01
every 3 epochs" is read as x0.99, as x0.01 would end training after 6 epochs; it says nothing about
how long, and after 600 epochs (torchvision's) x0.99 leaves 13 % of the rate. torchvision's recipe,
which gives the second number, has lr 0.064 for 1024 images and x0.973 every 2 epochs.
RMSProp's decay 0.9 and epsilon are torchvision's, whose 0.0316 outside the root is 0.001 inside.
The paper doesn't mention label smoothing, so there is none. Normalization and the evaluation's crop
are torchvision's, so that its published file can be scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from pocketvision.backbones import mobilenet_v3_large
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
from pocketvision.tasks.optimizers import RMSpropTF


def model(
    class_names: Sequence[str | None],
    image_size: Size = (224, 224),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    norm_momentum: float = 0.01,
    minimalistic: bool = False,
    padding: Padding = "torch",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> Classifier:
    """The layer of 1280 after the pooling is not scaled by width_mult.

    ``minimalistic`` is TensorFlow's variant with ReLU and 3x3 kernels only and without
    squeeze-and-excitation. ``padding``, ``mean`` and ``std`` are those of the weights: "same", 0.5 and
    0.5 for TensorFlow's.
    """
    backbone = mobilenet_v3_large(
        width_mult=width_mult,
        out_features=("last",),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=norm_momentum,
        minimalistic=minimalistic,
        padding=padding,
    )
    activation = nn.ReLU if minimalistic else nn.Hardswish
    return Classifier(
        backbone=backbone,
        head=partial(ClassifierHead, hidden_channels=1280, hidden_activation=activation),
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
        optimizer=partial(RMSpropTF, lr=0.1, alpha=0.9, momentum=0.9, eps=0.001, weight_decay=1e-5),
        reference_batch=4096,
        schedule="step",
        decay_rate=0.99,
        decay_epochs=3.0,
        ema_decay=0.9999,
    ),
    data=partial(
        ImageFolderDataModule,
        root="data/imagenet",
        batch_size=256,
        augmentation=ClassificationAugmentation(),
    ),
    trainer={"max_epochs": 600, "check_val_every_n_epoch": 5, "precision": "auto"},
)
