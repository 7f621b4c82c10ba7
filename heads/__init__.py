"""Heads: features -> predictions. A head knows feature infos, never a backbone."""

from pocketvision.heads.classifier import ClassifierHead
from pocketvision.heads.deeplabv3 import DeepLabV3Head, FCNHead
from pocketvision.heads.gfl import GFLHead
from pocketvision.heads.lraspp import LRASPPHead
from pocketvision.heads.ssd import SSDHead
from pocketvision.heads.ssdlite import SSDLiteHead

__all__ = ["ClassifierHead", "DeepLabV3Head", "FCNHead", "GFLHead", "LRASPPHead", "SSDHead", "SSDLiteHead"]
