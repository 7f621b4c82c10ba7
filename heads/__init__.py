"""Heads: features -> predictions. A head knows feature infos, never a backbone."""

from pocketvision.heads.lraspp import LRASPPHead
from pocketvision.heads.ssdlite import SSDLiteHead

__all__ = ["LRASPPHead", "SSDLiteHead"]
