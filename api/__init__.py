"""pocketvision: MobileNet detection and segmentation, from images to a device."""

__version__ = "0.1.0"
