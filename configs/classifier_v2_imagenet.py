"""MobileNetV2 classifier, ImageNet at 224x224 (arXiv:1801.04381, table 4).

    python tools/train.py configs/classifier_v2_imagenet.py data.root=/data/imagenet

Expected: top-1 0.720 (paper), 0.718 and top-5 0.910 (TensorFlow's published weights), 0.71878
(torchvision's file mobilenet_v2-b0353104.pth). Not trained here: weeks on one GPU.

``data.root`` holds ``train/`` and ``val/`` with a folder a class. The recipe is slim's, "the set of
parameters that achieves 72.0%": RMSProp with decay and momentum 0.9 and slim's epsilon of 1.0, a
rate of 0.045 for 96 images, label smoothing 0.1, an average of the weights with 0.9999, and 700k
steps of 768 images, which are 420 epochs. The paper and slim differ about the rate: x0.98 "per
epoch", with 16 asynchronous workers, against every 2.5 epochs. For the paper's word set
task.decay_epochs=1. Normalization, BatchNorm's epsilon (TensorFlow: 0.001) and the evaluation's crop
are torchvision's, so that its published file can be scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v2
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
    norm_momentum: float = 0.003,
    padding: Padding = "torch",
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> Classifier:
    """``norm_momentum`` is slim's, for long trainings: try 0.1 for short.

    ``padding``, ``mean`` and ``std`` are those of the weights: "same", 0.5 and 0.5 for TensorFlow's.
    """
    backbone = mobilenet_v2(
        width_mult=width_mult,
        out_features=("last",),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=norm_momentum,
        padding=padding,
    )
    return Classifier(
        backbone=backbone,
        head=ClassifierHead,
        class_names=class_names,
        resize=Resize(image_size, mode="crop", crop_share=0.875, antialias=True),
        mean=mean,
        std=std,
    )


config = Experiment(
    model=partial(model, image_size=(224, 224)),
    task=partial(
        ClassificationTask,
        loss=ClassificationCrossEntropy(label_smoothing=0.1),
        optimizer=partial(RMSpropTF, lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
        reference_batch=96,
        schedule="step",
        decay_rate=0.98,
        decay_epochs=2.5,
        ema_decay=0.9999,
    ),
    data=partial(
        ImageFolderDataModule,
        root="data/imagenet",
        batch_size=96,
        augmentation=ClassificationAugmentation(),
    ),
    trainer={"max_epochs": 420, "check_val_every_n_epoch": 5, "precision": "auto"},
)
