"""Covers models/classifier.py, models/detector.py, models/segmenter.py.

A whole model may be made half precision: it takes the same images and says nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pocketvision.configs import classifier_v3_small_imagenet, lraspp_v3_small_cityscapes, quickstart
from pocketvision.models import Detector, VisionModel

MODELS: dict[str, Callable[..., VisionModel]] = {
    "detection": quickstart.model,
    "segmentation": lraspp_v3_small_cityscapes.model,
    "classification": classifier_v3_small_imagenet.model,
}


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("task", MODELS)
def test_half_precision(task: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = MODELS[task](("a", "b"), width_mult=0.35, weights=None).eval()
    if task == "classification":
        model.head.class_logits.weight *= 1e6  # else they are next to nothing
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    whole = model(images)
    half = model.to(dtype)(images)
    before, after = (out.class_logits if isinstance(model, Detector) else out for out in (whole, half))
    assert after.dtype == dtype
    assert (after.float() - before).square().mean() < 0.01 * before.square().mean()
    if isinstance(model, Detector):
        assert model.predict(images).boxes.shape[0] == 1
