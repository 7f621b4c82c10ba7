"""Published costs of dense detectors that are not built here, to compare ``gfl_*`` configs with."""

from __future__ import annotations

from typing import NamedTuple

from pocketvision.core.structures import Size


class PublishedDetector(NamedTuple):
    """A printed row, AP on COCO val2017: millions of parameters, 10^9 operations, two a multiply-add."""

    source: str
    model: str
    image_size: Size
    params: str
    flops: str
    ap: str

    @property
    def madds(self) -> float:
        """Multiply-adds, counted once as everywhere here."""
        return float(self.flops) * 1e9 / 2


_NANODET, _PICODET = "RangiLyu/nanodet", "PaddleDetection picodet"
_Row = PublishedDetector

# README.md of both, and configs/picodet/legacy_model of the second for the one on MobileNetV3.
DENSE_DETECTORS = (
    _Row(_NANODET, "NanoDet-Plus-m",               (320, 320), "1.17", "0.9",  "27.0"),
    _Row(_NANODET, "NanoDet-Plus-m",               (416, 416), "1.17", "1.52", "30.4"),
    _Row(_PICODET, "PicoDet-S",                    (320, 320), "1.18", "0.97", "29.1"),
    _Row(_PICODET, "PicoDet-S",                    (416, 416), "1.18", "1.65", "32.5"),
    _Row(_PICODET, "PicoDet on MobileNetV3-Large", (416, 416), "3.55", "2.80", "35.6"),
)  # fmt: skip
