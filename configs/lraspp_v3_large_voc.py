"""LR-ASPP in torchvision's form, MobileNetV3-Large, Pascal VOC 2012 at 520x520.

    python tools/train.py configs/lraspp_v3_large_voc.py data.root=/data/VOCdevkit/VOC2012

Expected: not measured, here or in the paper (arXiv:1905.02244 has no VOC result). The nearest published
number is 57.9 mIoU of torchvision's ``lraspp_mobilenet_v3_large`` with the 21 VOC classes, but trained on
92k images of COCO and scored on COCO val2017; this config trains the same model, 3,221,538 parameters,
with the same recipe: 30 epochs in batches of 32 crops of 480x480, SGD 0.01 with poly decay, weight decay
1e-6, scales 0.5 to 2.

The images are VOC's with the masks of "trainaug" (see ``deeplabv3_v2_voc``), a tenth of COCO's, so an
epoch has 330 steps instead of 2,900. torchvision decays norms and biases too and enlarges pictures until
their shorter side is 520; ours fit into 520x520. ``model.weights=coco-voc`` starts from torchvision's
published file.
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
from pocketvision.datasets import VOC_SEGMENTATION_NAMES, SegmentationAugmentation, VocSegmentationDataModule
from pocketvision.heads import LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask


def model(
    class_names: Sequence[str | None],
    image_size: Size = (520, 520),
    width_mult: float = 1.0,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """Full backbone at output stride 16, a gate for the whole image, skip of 40 channels at stride 8."""
    backbone = mobilenet_v3_large(
        width_mult=width_mult,
        output_stride=16,
        dilation_rule="torchvision",
        out_features=("c3_first", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=partial(LRASPPHead, form="torchvision"),
        class_names=class_names,
        resize=Resize(image_size, mode="letterbox"),
        mean=mean,
        std=std,
    )


config = Experiment(
    class_names=VOC_SEGMENTATION_NAMES,
    model=partial(model, image_size=(520, 520)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(),
        optimizer=partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-6),
        reference_batch=32,
        schedule="poly",
    ),
    data=partial(
        VocSegmentationDataModule,
        root="data/VOCdevkit/VOC2012",
        batch_size=32,
        train_split="trainaug",
        test_split="val",  # the masks of VOC's own test split are not public
        augmentation=SegmentationAugmentation(scale=(0.5, 2.0), crop_size=(480, 480), photometric=False),
    ),
    trainer={"max_epochs": 30, "check_val_every_n_epoch": 5, "precision": "auto"},
)
