"""Backbones: images -> named features. Imports torch and core only."""

from pocketvision.backbones.extra_blocks import WithExtraBlocks
from pocketvision.backbones.mobilenet_edgetpu import mobilenet_edgetpu
from pocketvision.backbones.mobilenet_v1 import mobilenet_v1
from pocketvision.backbones.mobilenet_v2 import mobilenet_v2
from pocketvision.backbones.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.pan import WithPAN
from pocketvision.backbones.timm_adapter import TimmBackbone

__all__ = [
    "TimmBackbone",
    "WithExtraBlocks",
    "WithPAN",
    "mobilenet_edgetpu",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]
