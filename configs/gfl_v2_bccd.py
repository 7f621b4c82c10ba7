"""GFL (arXiv:2006.04388) on a path aggregation network, MobileNetV2, BCCD blood cells at 320x320.

python tools/train.py configs/gfl_v2_bccd.py data.root=/data/bccd

Expected: AP 0.619, AP50 0.925 on the 72 test images after 24 epochs on trainval from torchvision's
mobilenet_v2-b0353104.pth; ``ssdlite_v2_bccd`` has 0.607, 0.905.
0.67 G multiply-adds and 2.05 M parameters; ``ssdlite_v2_bccd`` has 0.66 G and 2.56 M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs import own_detection_gfl as own
from pocketvision.configs.ssdlite_v2_bccd import config as ssdlite
from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.structures import Size
from pocketvision.models import Detector

# Relative (width, height), one for stride 8, 16, 32 and 64: what an untrained head predicts. Fitted to the
# boxes of trainval by ``train --data``; no box is large enough for the last map.
ANCHORS = ExplicitAnchors((((0.1022, 0.1187),), ((0.1953, 0.25),), ((0.3842, 0.4792),), ((0.3842, 0.4792),)))


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
    """That of ``own_detection_gfl`` with anchors for blood cells."""
    return own.model(
        class_names,
        "v2",
        image_size,
        ANCHORS,
        weights=weights,
        widths=widths,
        forms=forms,
        max_detections=max_detections,
        padding=padding,
        mean=mean,
        std=std,
    )


config = replace(ssdlite, model=partial(model, image_size=(320, 320)), task=own.config.task)
