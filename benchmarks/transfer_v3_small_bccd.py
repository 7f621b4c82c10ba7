"""SSDLite, MobileNetV3-Small, BCCD: what weights imported from Google's TFLite file are worth.

Run by benchmarks/transfer.sh. The recipe and anchors are those of ``ssdlite_v2_bccd``; padding and
normalization are the file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import WithExtraBlocks, mobilenet_v3_small
from pocketvision.configs import ssdlite_v2_bccd as base
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import SSDLiteHead
from pocketvision.models import Detector, SSDPostprocess


def model(
    class_names: Sequence[str | None], image_size: Size = (320, 320), weights: str | Path | None = None
) -> Detector:
    """Taps at stride 8, 16 and 32, and one extra block."""
    backbone = mobilenet_v3_small(
        padding="same", out_features=("c3_expand", "c4_expand", "last"), weights=weights, norm_momentum=0.1
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, channels=(256,)),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=base.ANCHORS,
        postprocess=SSDPostprocess(iou_threshold=0.5, max_detections=100),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


config = replace(base.config, model=partial(model, image_size=(320, 320)))
