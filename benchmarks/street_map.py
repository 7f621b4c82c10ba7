"""The map of ``street_v2`` on a backbone of its own: what ``two_tasks.py`` compares with.

python tools/train.py benchmarks/street_map.py data.root=/data/camvid

Expected: mIoU that depends on the steps; docs/results.md has what few gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pocketvision.backbones import mobilenet_v2
from pocketvision.configs import lraspp_v2_camvid as base
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import LRASPPHead
from pocketvision.models import Segmenter

LOW = ("c4", "c3_depthwise", "c2_depthwise")


def model(
    class_names: Sequence[str | None],
    image_size: Size = (360, 480),
    weights: str | Path | None = "imagenet",
    norm_momentum: float = 0.03,
) -> Segmenter:
    """LR-ASPP from c5 at stride 32, with strides 16, 8 and 4."""
    return Segmenter(
        backbone=mobilenet_v2(out_features=(*LOW[::-1], "c5"), weights=weights, norm_momentum=norm_momentum),
        head=partial(LRASPPHead, low=LOW, high="c5"),
        class_names=class_names,
        resize=Resize(image_size),
    )


config = replace(base.config, model=partial(model, image_size=(360, 480)))
