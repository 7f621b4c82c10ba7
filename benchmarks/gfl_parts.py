"""``gfl_v2_bccd`` with one part at a time exchanged, for the ablation of benchmarks/heads.py.

    python tools/train.py benchmarks/gfl_parts.py data.root=/data/bccd task.assigner=simota

docs/results.md has the scores. As it stands it is ``gfl_v2_bccd``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch.optim import AdamW

from pocketvision.configs import own_detection, own_detection_gfl
from pocketvision.configs.gfl_v2_bccd import ANCHORS
from pocketvision.configs.gfl_v2_bccd import config as base
from pocketvision.configs.ssdlite_v2_bccd import ANCHORS as SSD_ANCHORS
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.protocols import Anchors
from pocketvision.heads.assign_guide import AssignGuide
from pocketvision.losses import (
    ATSSAssigner,
    DynamicSoftLabelAssigner,
    GFLLoss,
    SimOTAAssigner,
    SSDLoss,
    TaskAlignedAssigner,
)
from pocketvision.losses.assignment import Assigner
from pocketvision.losses.gfl import QualityKind
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask

HEADS = Literal["gfl", "ssd"]
FITTED: Mapping[str, Anchors] = {"gfl": ANCHORS, "ssd": SSD_ANCHORS}
ASSIGNERS: dict[str, Callable[..., Assigner]] = {
    "task_aligned": TaskAlignedAssigner,
    "dynamic_soft_label": DynamicSoftLabelAssigner,
    "simota": SimOTAAssigner,
    "atss": ATSSAssigner,
}


def model(
    class_names: Sequence[str | None],
    head: HEADS = "gfl",
    fitted: bool = True,
    reg_max: int = 7,
    anchors: Mapping[str, Anchors] = FITTED,
    weights: str | Path | None = "imagenet",
    max_detections: int = 100,
    **options: Any,
) -> Detector:
    """``head="ssd"`` is SSDLite's on the same pyramid; not ``fitted``, untrained boxes are 7 strides wide.

    ``anchors`` are those fitted to the data, by head.
    """
    options |= {"weights": weights, "max_detections": max_detections}
    if head == "ssd":
        return own_detection.model(class_names, "v2", anchors=anchors["ssd"], pyramid_channels=96, **options)
    first = anchors["gfl"] if fitted else CellAnchors(7.0)
    return own_detection_gfl.model(class_names, "v2", anchors=first, reg_max=reg_max, **options)


def task(
    model: Detector,
    *arguments: Any,
    assigner: str = "task_aligned",
    normalized: bool = True,
    kind: QualityKind = "quality",
    atss_epochs: int = 0,
    guide: bool = False,
    **options: Any,
) -> DetectionTask:
    """``atss_epochs`` begins with ATSS; without ``normalized`` a truth's best point need not score 1."""
    loss: Any = SSDLoss()
    if model.score_function == "sigmoid":
        loss = GFLLoss(assigner=ASSIGNERS[assigner](normalized=normalized), kind=kind)
    first = ATSSAssigner(normalized=True) if atss_epochs else None
    return DetectionTask(
        model,
        *arguments,
        loss=loss,
        guide=AssignGuide if guide else None,
        first_assigner=first,
        first_epochs=atss_epochs,
        **options,
    )


config = replace(
    base,
    model=partial(model, image_size=(320, 320)),
    task=partial(
        task,
        optimizer=partial(AdamW, lr=2e-2, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
        backbone_lr_factor=0.02,
    ),
)
