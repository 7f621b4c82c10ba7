"""MobileNetV1 classifier, ImageNet at 224x224 (arXiv:1704.04861, table 8).

    python tools/train.py configs/classifier_v1_imagenet.py data.root=/data/imagenet

Expected: top-1 0.706 (paper), 0.709 (TensorFlow's published weights). Not trained here: weeks on
one GPU.

The paper trains with "RMSprop with asynchronous gradient descent similar to Inception V3", which is
a decay of 0.9, an epsilon of 1.0 and a rate of 0.045 (arXiv:1512.00567, sec. 8); slim's script has
the same rate for 64 images, x0.94 every 2.5 epochs, but plain SGD. As in the paper: no label
smoothing, no decay of depthwise weights, milder crops and colors (how mild is not said: parts of a
quarter of the area and more, half the changes of color). Neither says how long; 250 epochs bring
the rate to 0.2 %.
BatchNorm and a dropout of 0.001 are slim's. Slim evaluates 87.5 % of each side, stretched; here the
center is cut out without stretching, as in torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v1
from pocketvision.core.config import Experiment
from pocketvision.core.layers import Padding
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
    norm_momentum: float = 0.0003,
    padding: Padding = "torch",
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
    std: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> Classifier:
    """``norm_momentum`` is slim's, for long trainings: try 0.1 for short.

    ``padding``, ``mean`` and ``std`` are those of the weights: "same", 0.5 and 0.5 for TensorFlow's.
    """
    backbone = mobilenet_v1(
        width_mult=width_mult,
        out_features=("c5",),
        weights=weights,
        norm_momentum=norm_momentum,
        padding=padding,
    )
    return Classifier(
        backbone=backbone,
        head=partial(ClassifierHead, feature="c5", dropout=0.001),
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
        optimizer=partial(RMSpropTF, lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
        reference_batch=64,
        schedule="step",
        decay_rate=0.94,
        decay_epochs=2.5,
        decay_depthwise=False,
    ),
    data=partial(
        ImageFolderDataModule,
        root="data/imagenet",
        batch_size=64,
        augmentation=ClassificationAugmentation(crop_scale=(0.25, 1.0), photometric_probability=0.5),
    ),
    trainer={"max_epochs": 250, "check_val_every_n_epoch": 5, "precision": "auto"},
)
