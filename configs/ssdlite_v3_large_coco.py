"""SSDLite, MobileNetV3-Large, COCO at 320x320 (arXiv:1905.02244, table 6, "V3+").

    python tools/train.py configs/ssdlite_v3_large_coco.py data.root=/data/coco

Expected: torchvision publishes 21.3 AP on val2017 for this model and recipe (its reference:
8 GPUs x 24 images, 660 epochs from scratch, SGD at 0.15, cosine; crops and flips only); the paper
22.0 on test-dev. Not trained here: that takes days on 8 GPUs, and this project has measured only
that training starts well (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import SGD

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_large
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.layers import Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import CocoDataModule, DetectionAugmentation
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask


def model(
    class_names: Sequence[str | None],
    image_size: Size = (320, 320),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 300,
    padding: Padding = "torch",
    mean: tuple[float, ...] = (0.5, 0.5, 0.5),
    std: tuple[float, ...] = (0.5, 0.5, 0.5),
) -> Detector:
    """SSDLite on the reduced backbone, with anchors and normalization as in torchvision."""
    backbone = mobilenet_v3_large(
        width_mult=width_mult,
        reduced_tail="detection",
        out_features=("c4_expand", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        norm_momentum=0.03,
        padding=padding,
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, padding=padding),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=TorchvisionAnchors(),
        mean=mean,
        std=std,
        postprocess=SSDPostprocess().giving(max_detections),
    )


config = Experiment(
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=SSDLoss(),
        optimizer=partial(SGD, lr=0.15, momentum=0.9, weight_decay=4e-5),
        reference_batch=192,
        warmup_steps=1000,
    ),
    data=partial(
        CocoDataModule,
        root="data/coco",
        batch_size=24,
        augmentation=DetectionAugmentation(expand_probability=0.0, photometric=False),
    ),
    trainer={"max_epochs": 660, "check_val_every_n_epoch": 10, "precision": "auto"},
)
