"""SSDLite (arXiv:1801.04381), MobileNetV2, BCCD blood cells at 320x320, from published ImageNet weights.

python tools/train.py configs/ssdlite_v2_bccd.py data.root=/data/bccd

Expected: AP 0.607, AP50 0.905 on the 72 test images after 24 epochs on trainval, measured here: 17
minutes on 2 cores (Xeon 2.5 GHz) from torchvision's mobilenet_v2-b0353104.pth. The anchors reach
every platelet of the test split at IoU 0.5; torchvision's layout reaches 1 % of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.optim import AdamW

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import DetectionAugmentation, VocDataModule
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, SSDPostprocess
from pocketvision.tasks import DetectionTask

# Relative (width, height), for stride 8, 16, 32 and 64. The images are 640x480 and stretched to a
# square, so a round cell is taller than wide.
ANCHORS = ExplicitAnchors(
    (
        ((0.045, 0.06), (0.065, 0.085), (0.09, 0.12)),
        ((0.13, 0.17), (0.16, 0.21), (0.19, 0.25), (0.13, 0.25), (0.2, 0.16)),
        ((0.25, 0.33), (0.32, 0.42), (0.4, 0.5), (0.25, 0.45), (0.4, 0.35)),
        ((0.5, 0.6), (0.6, 0.9)),
    )
)


def model(
    class_names: Sequence[str | None],
    image_size: Size = (320, 320),
    weights: str | Path | None = "imagenet",
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 100,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Detector:
    """Taps at stride 8 (for platelets), 16 and 32, and one extra block."""
    backbone = mobilenet_v2(
        out_features=("c3_expand", "c4_expand", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, channels=(256,), padding=padding),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=ANCHORS,
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100).giving(max_detections),
        mean=mean,
        std=std,
    )


config = Experiment(
    class_names=("Platelets", "RBC", "WBC"),
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=SSDLoss(),
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
        backbone_lr_factor=0.4,
    ),
    data=partial(
        VocDataModule,
        root="data/bccd",
        batch_size=8,
        train_split="trainval",
        val_split="test",
        # Cells look the same in every microscope image: mild zooms, no preferred direction.
        augmentation=DetectionAugmentation(
            expand_probability=0.2,
            expand_ratio=(1.0, 1.4),
            crop_probability=0.5,
            min_crop_side=0.6,
            vertical_flip=0.5,
        ),
    ),
    # No scoring while training: test is seen once, by the last weights.
    trainer={"max_epochs": 24, "limit_val_batches": 0},
)
