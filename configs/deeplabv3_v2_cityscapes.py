"""R-ASPP ("Mobile DeepLabv3"), MobileNetV2, Cityscapes (arXiv:1905.02244, table 7, row 1).

    python tools/train.py configs/deeplabv3_v2_cityscapes.py data.root=/data/cityscapes

Expected: 72.84 mIoU on val at 1024x2048 (paper: from scratch, fine annotations only, one scale).
TensorFlow's DeepLab publishes weights of the same model with 70.71. Not trained here: days on 4 GPUs.

Neither source prints the whole recipe: 90k steps, crops of 769x769 and scales 0.5 to 2 are those of
DeepLab's Cityscapes page, learning rate 0.007 (poly), momentum and weight decay its defaults. Of the
batch size it says "large (> 8)"; 16 is what it advises for VOC. Its evaluation crop is 1025x2049, the
image padded by a row and a column; ours is the image.
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
from pocketvision.datasets import CITYSCAPES_NAMES, CityscapesDataModule, SegmentationAugmentation
from pocketvision.heads import DeepLabV3Head
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
    """R-ASPP on the 320 channels of c5, without the convolution to 1280: 2.11M parameters, 20.8B MAdds."""
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
        optimizer=partial(SGD, lr=0.007, momentum=0.9, weight_decay=4e-5),
        reference_batch=16,
        schedule="poly",
    ),
    data=partial(
        CityscapesDataModule,
        root="data/cityscapes",
        batch_size=16,
        eval_batch_size=1,
        augmentation=SegmentationAugmentation(scale=(0.5, 2.0), crop_size=(769, 769), photometric=False),
    ),
    trainer={"max_steps": 90_000, "check_val_every_n_epoch": 20, "precision": "auto"},
)
