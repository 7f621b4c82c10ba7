"""SSDLite, MobileNetV2, people in COCO at 300x300, as TensorFlow's detectors are built.

    python tools/train.py configs/ssdlite_v2_person.py data.root=/data/coco

Expected: AP 0.186, AP50 0.387 for people on the 400 images of coco_mini's val split, measured here with
TensorFlow's published weights (``ssdlite_mobilenet_v2_person_frozen.pb``); not trained here.

    python tools/import_weights.py FILE.pb --into ssdlite_v2_person --output person.safetensors
    python tools/eval.py ssdlite_v2_person --weights person.safetensors data.root=/data/coco

Everything is as TensorFlow's Object Detection API has it (``ssdlite_mobilenet_v2_coco.config``): SAME
padding, input in [-1, 1], sigmoid scores without a background, three anchors in the finest map,
BatchNorm's epsilon of 1e-3, NMS at 0.6. Training starts from nothing, with ``ssdlite_v2_coco``'s recipe
and the focal loss that TensorFlow uses for MobileNetV3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2
from pocketvision.backbones.forms import Forms
from pocketvision.backbones.widths import Widths
from pocketvision.configs.ssdlite_v2_coco import config as base
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.layers import Padding
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import SSDLiteHead
from pocketvision.losses import FocalLoss
from pocketvision.models import Detector, SSDPostprocess


def model(
    class_names: Sequence[str | None],
    image_size: Size = (300, 300),
    width_mult: float = 1.0,
    weights: str | Path | None = None,
    widths: Widths | None = None,
    forms: Forms | None = None,
    max_detections: int = 100,
    padding: Padding = "same",
    mean: tuple[float, ...] = (0.5, 0.5, 0.5),
    std: tuple[float, ...] = (0.5, 0.5, 0.5),
) -> Detector:
    """As ``ssdlite_v2_coco``, with TensorFlow's padding, epsilon, input and scores."""
    backbone = mobilenet_v2(
        width_mult=width_mult,
        out_features=("c4_expand", "last"),
        weights=weights,
        widths=widths,
        forms=forms,
        padding=padding,
        norm_eps=1e-3,
        norm_momentum=0.03,
    )
    return Detector(
        backbone=WithExtraBlocks(backbone, padding=padding),
        head=SSDLiteHead,
        class_names=class_names,
        resize=Resize(image_size),
        anchors=TensorFlowAnchors(),
        postprocess=SSDPostprocess(iou_threshold=0.6, max_detections=100).giving(max_detections),
        score_function="sigmoid",
        mean=mean,
        std=std,
    )


config = replace(
    base,
    class_names=("person",),
    model=partial(model, image_size=(300, 300)),
    task=partial(base.task, loss=FocalLoss()),
)
