"""SSD and SSDLite as others' files have them: what ``import-weights FILE`` builds detectors from.

    python tools/train.py configs/imported_detection.py data.root=/data/coco

Expected: what the file has; ``docs/museum.md`` has scores of public ones. Training with this config starts
from nothing, with the recipe of ``ssdlite_v2_coco``; ``train --data MINE --from FILE`` starts from a file.

The arguments are what TensorFlow's Object Detection API lets its configs choose: the defaults are its
``ssdlite_mobilenet_v2_coco``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from pocketvision.backbones import WithExtraBlocks
from pocketvision.backbones.by_name import build_with, find_builder
from pocketvision.configs.ssdlite_v2_coco import config as base
from pocketvision.core.anchors import ExplicitAnchors, Shape, TensorFlowAnchors
from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.layers import Padding
from pocketvision.core.protocols import Anchors
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import SSDHead, SSDLiteHead
from pocketvision.losses import FocalLoss
from pocketvision.models import Detector, SSDPostprocess

_HALF = (0.5, 0.5, 0.5)
HEADS: dict[str, Callable[..., nn.Module]] = {
    "separable": SSDLiteHead,
    "full": SSDHead,
    "pointwise": partial(SSDHead, kernel_size=1),
}


def model(
    class_names: Sequence[str | None], image_size: Size = (300, 300), backbone: str = "v2",
    width_mult: float = 1.0, minimalistic: bool = False, reduced_tail: str | bool | None = None,
    scale_last: bool = False, taps: tuple[str, ...] = ("c4_expand", "last"),
    extra_channels: tuple[int, ...] = (512, 256, 256, 128), separable_extra: bool = True,
    head: Literal["separable", "full", "pointwise"] = "separable", padding: Padding = "same",
    scales: tuple[float, float] = (0.2, 0.95), reduce_lowest: bool = True,
    anchor_shapes: tuple[tuple[Shape, ...], ...] | None = None,
    score_function: Literal["softmax", "sigmoid"] = "sigmoid", variances: tuple[float, float] = (0.1, 0.2),
    score_threshold: float = 0.001, iou_threshold: float = 0.6, max_detections: int = 100,
    mean: tuple[float, float, float] = _HALF, std: tuple[float, float, float] = _HALF,
    weights: str | Path | None = None,
) -> Detector:  # fmt: skip
    """``scales`` and ``reduce_lowest`` are of TensorFlow's anchors, unless ``anchor_shapes`` lists (width,
    height) for each map; ``variances`` are the box coder's for centers and sizes."""
    form = {"minimalistic": minimalistic, "reduced_tail": reduced_tail, "scale_last": scale_last}
    numbers = {"weights": weights, "padding": padding, "norm_eps": 1e-3, "norm_momentum": 0.03}
    body = build_with(find_builder(backbone), taps, width_mult=width_mult, **form, **numbers)
    anchors: Anchors = TensorFlowAnchors(*scales, reduce_lowest=reduce_lowest)
    postprocess = SSDPostprocess(score_threshold, iou_threshold, 300, 100, coder=SSDBoxCoder(*variances))
    return Detector(
        backbone=WithExtraBlocks(body, extra_channels, padding=padding, separable=separable_extra),
        head=HEADS[head],
        class_names=class_names,
        resize=Resize(image_size),
        anchors=anchors if anchor_shapes is None else ExplicitAnchors(anchor_shapes),
        postprocess=postprocess.giving(max_detections),
        score_function=score_function,
        mean=mean,
        std=std,
    )


config = replace(base, model=partial(model, image_size=(300, 300)), task=partial(base.task, loss=FocalLoss()))
