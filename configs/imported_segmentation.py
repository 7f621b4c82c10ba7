"""DeepLabv3 and LR-ASPP as others' files have them: what ``import-weights FILE`` builds segmenters from.

    python tools/train.py configs/imported_segmentation.py data.root=/data/VOCdevkit/VOC2012

Expected: what the file has; ``docs/museum.md`` has scores of public ones. Training with this config starts
from nothing, with the recipe of ``deeplabv3_v2_voc``; ``train --data MINE --from FILE`` starts from a file.

The arguments are what TensorFlow's DeepLab lets its flags choose: the defaults are its
``deeplabv3_mnv2_pascal``. It pads pictures with the mean pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from pocketvision.backbones.architecture import DilationRule
from pocketvision.backbones.by_name import build_with, find_builder
from pocketvision.configs.deeplabv3_v2_voc import config as base
from pocketvision.core.layers import Padding, Sampling
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import DeepLabV3Head, LRASPPHead
from pocketvision.models import Enlarge, Segmenter

_HALF = (0.5, 0.5, 0.5)


def model(
    class_names: Sequence[str | None], image_size: Size = (513, 513), backbone: str = "v2",
    width_mult: float = 1.0, minimalistic: bool = False, reduced_tail: str | bool | None = None,
    output_stride: int = 16, dilation_rule: DilationRule = "tensorflow",
    head: Literal["deeplabv3", "lraspp"] = "deeplabv3", head_channels: int = 256, rates: tuple[int, ...] = (),
    high: str = "c5", low: tuple[str, ...] = ("c3_depthwise",), pool_size: int | None = None,
    pool_stride: tuple[int, int] = (16, 20), sampling: Sampling = "half_pixel", padding: Padding = "same",
    separable_atrous: bool = False, image_pooling: bool = True,
    last_resize: Sampling | None = None, sizes_between: tuple[Size, ...] = (),
    mode: Literal["letterbox", "stretch"] = "letterbox", mean: tuple[float, float, float] = _HALF,
    std: tuple[float, float, float] = _HALF, weights: str | Path | None = None,
) -> Segmenter:  # fmt: skip
    """``rates``, ``separable_atrous`` and ``image_pooling`` are of DeepLabv3, ``low``, ``pool_size``,
    ``pool_stride`` and ``sampling`` (of its maps) of LR-ASPP; both read ``high``. ``last_resize`` is how the
    network itself enlarges its logits to the image's size, through ``sizes_between``; None: it does not."""
    deeplab = partial(
        DeepLabV3Head, feature=high, separable_atrous=separable_atrous, image_pooling=image_pooling
    )
    part: Callable[..., nn.Module] = partial(deeplab, form="raspp")
    if head == "lraspp":
        gate = partial(LRASPPHead, pool_size=pool_size, pool_stride=pool_stride, sampling=sampling)
        part = partial(gate, low=low, high=high)
    elif rates:
        part = partial(deeplab, form="aspp", rates=rates)
    form = {"minimalistic": minimalistic, "reduced_tail": reduced_tail}
    body = build_with(
        find_builder(backbone), (*low, high) if head == "lraspp" else (high,), width_mult=width_mult, **form,
        output_stride=output_stride, dilation_rule=dilation_rule, weights=weights, padding=padding,
        norm_eps=1e-3,
    )  # fmt: skip
    return Segmenter(
        backbone=body,
        head=partial(part, channels=head_channels),
        class_names=class_names,
        resize=Resize(image_size, mode=mode, fill=127),
        mean=mean,
        std=std,
        enlarge=None if last_resize is None else Enlarge(last_resize, sizes_between),
    )


config = replace(base, model=partial(model, image_size=(513, 513)))
