"""Covers losses/cross_entropy.py, losses/focal.py, losses/matcher.py, losses/ssd.py.

What losses are without arguments: as the papers have it, or as docs/results.md was measured.
"""

from __future__ import annotations

import math

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.losses import (
    FocalLoss,
    IoUMatcher,
    SegmentationCrossEntropy,
    SSDLoss,
)

CODER = SSDBoxCoder(center_variance=0.1, size_variance=0.2, max_log_size=math.log(62.5))


def test_ssd() -> None:
    """arXiv:1512.02325: three negatives a positive, alpha = 1, IoU 0.5, smooth L1."""
    assert SSDLoss() == SSDLoss(IoUMatcher(0.5), CODER, 3.0, 30, 1.0, "smooth_l1", 0.0)


def test_focal() -> None:
    """As TensorFlow's ssdlite_mobilenet_v3: alpha 0.75, gamma 2."""
    assert FocalLoss() == FocalLoss(IoUMatcher(0.5), CODER, 0.75, 2.0, 1.0, "focal", "smooth_l1")


def test_segmentation() -> None:
    assert SegmentationCrossEntropy() == SegmentationCrossEntropy(None, 0.0, 1.0, 0.0, 0.0)


def test_coder() -> None:
    assert SSDBoxCoder() == CODER
