"""A small student for benchmarks/heads.py: GFL on MobileNetV3-Small, from random weights, on BCCD.

python tools/train.py benchmarks/gfl_v3_small_bccd.py data.root=/data/bccd task.teacher=RUN

Its anchors are those of ``gfl_v2_bccd``, which teaches it. docs/results.md has its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch.optim import AdamW

from pocketvision.configs import own_detection_gfl as own
from pocketvision.configs.gfl_v2_bccd import ANCHORS
from pocketvision.configs.gfl_v2_bccd import config as teacher
from pocketvision.core.config import parameters
from pocketvision.core.structures import Size
from pocketvision.models import Detector
from pocketvision.tasks import DetectionTask


def model(
    class_names: Sequence[str | None], image_size: Size = (320, 320), max_detections: int = 100
) -> Detector:
    """That of ``gfl_v2_bccd`` on a smaller backbone."""
    return own.model(
        class_names, "v3_small", image_size, ANCHORS, weights=None, max_detections=max_detections
    )


config = replace(
    teacher,
    model=partial(model, image_size=(320, 320)),
    task=partial(
        DetectionTask,
        loss=parameters(teacher.task)["loss"],
        optimizer=partial(AdamW, lr=8e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
    ),
)
