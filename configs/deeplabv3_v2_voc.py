"""Mobile DeepLabv3, MobileNetV2, Pascal VOC 2012 at 513x513 (arXiv:1801.04381, table 7).

    python tools/train.py configs/deeplabv3_v2_voc.py data.root=/data/VOCdevkit/VOC2012

Expected: 75.32 mIoU on val (paper: output stride 16, one scale, no flip). Not trained here.

The paper does not print its schedule; this is that of TensorFlow's DeepLab, which published the
weights: 30k steps of 16 crops, SGD 0.007 with poly decay, scales 0.5 to 2. Two silent prerequisites:
the paper's backbone was trained on COCO before, here ImageNet only; and training is on "trainaug",
10,582 images with the masks of Hariharan et al. (SBD): add ``ImageSets/Segmentation/trainaug.txt``
and their masks to ``SegmentationClass``, or take the 1,464 of VOC with data.train_split=train.
DeepLab pads pictures to 513x513, where ours are first enlarged to fit; its scales are multiples of
0.25, ours are continuous; and its further 30k steps at output stride 8 (lr 0.001, BatchNorm frozen)
for the paper's 77.33 with several scales and flips are not part of this config.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import SGD

from pocketvision.backbones import mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import VOC_SEGMENTATION_NAMES, SegmentationAugmentation, VocSegmentationDataModule
from pocketvision.heads import DeepLabV3Head
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.tasks import SegmentationTask


def model(
    class_names: Sequence[str | None],
    image_size: Size = (513, 513),
    width_mult: float = 1.0,
    output_stride: int = 16,
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Segmenter:
    """R-ASPP on the 320 channels of c5, without the convolution to 1280: 2.11M parameters, 2.74B MAdds."""
    backbone = mobilenet_v2(
        width_mult=width_mult,
        output_stride=output_stride,
        out_features=("c5",),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Segmenter(
        backbone=backbone,
        head=partial(DeepLabV3Head, form="raspp"),
        class_names=class_names,
        resize=Resize(image_size, mode="letterbox"),
        mean=mean,
        std=std,
    )


config = Experiment(
    class_names=VOC_SEGMENTATION_NAMES,
    model=partial(model, image_size=(513, 513)),
    task=partial(
        SegmentationTask,
        loss=SegmentationCrossEntropy(),
        optimizer=partial(SGD, lr=0.007, momentum=0.9, weight_decay=4e-5),
        reference_batch=16,
        schedule="poly",
    ),
    data=partial(
        VocSegmentationDataModule,
        root="data/VOCdevkit/VOC2012",
        batch_size=16,
        train_split="trainaug",
        test_split="val",  # the masks of VOC's own test split are not public
        augmentation=SegmentationAugmentation(scale=(0.5, 2.0), crop_size=(513, 513), photometric=False),
    ),
    trainer={"max_steps": 30_000, "check_val_every_n_epoch": 5, "precision": "auto"},
)
