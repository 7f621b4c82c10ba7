"""``gfl_parts.py`` on coco_mini, 80 classes: what ``train --data`` writes for it, 300 steps of 16 images.

    python tools/train.py benchmarks/gfl_parts_coco_mini.py data.root=/data/coco_mini task.assigner=simota

heads.py trains and compares its parts, docs/results.md has the scores of those that were.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import gfl_parts as parts
from torch.optim import AdamW

from pocketvision.configs import own_detection
from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.datasets import CocoDataModule

# Relative (width, height), for stride 8, 16, 32 and 64.
POINTS = ExplicitAnchors(
    (((0.1094, 0.1344),), ((0.2916, 0.3485),), ((0.625, 0.6277),), ((0.9969, 0.906),)),
)
BOXES = ExplicitAnchors(
    (
        (
            (0.0094, 0.014), (0.0235, 0.0219), (0.025, 0.0453), (0.0547, 0.0328), (0.0406, 0.0609),
            (0.0297, 0.0875), (0.0406, 0.0906), (0.0563, 0.0703), (0.089, 0.0563), (0.0578, 0.1187),
            (0.0719, 0.102), (0.182, 0.054), (0.0781, 0.141), (0.1422, 0.0799), (0.0688, 0.1942),
        ),
        ((0.2098, 0.12), (0.125, 0.2094), (0.239, 0.1618), (0.36, 0.1119), (0.1609, 0.392)),
        ((0.3078, 0.3813), (0.4641, 0.2556), (0.2834, 0.6617), (0.8156, 0.3492)),
        ((0.611, 0.5531), (0.7172, 0.7017)),
    )
)  # fmt: skip

config = replace(
    parts.config,
    class_names=None,
    model=partial(
        parts.model,
        image_size=(320, 320),
        mode="letterbox",
        norm_momentum=0.1,
        anchors={"gfl": POINTS, "ssd": BOXES},
    ),
    task=partial(
        parts.task,
        optimizer=partial(AdamW, lr=2e-2, weight_decay=0.05, fused=True),
        reference_batch=16,
        backbone_lr_factor=0.02,
        warmup_steps=30,
        ema_decay=0.93333,
    ),
    data=partial(
        CocoDataModule, root="data/coco_mini", batch_size=16, augmentation=own_detection.AUGMENTATION
    ),
    trainer={"max_steps": 300, "check_val_every_n_epoch": 4},
)
