"""What a model is scored with: COCO average precision for boxes, intersection over union for masks,
top-1 and top-5 accuracy for classes of images; and how sure and how wrong it is.

A metric is filled an image at a time with ``update``, joined with others of its kind with ``merge``
and read with ``compute``; how the images were batched, ordered or sharded never changes a digit.
Importing this package doesn't import pycocotools; ``CocoMetric.compute(engine="pycocotools")`` does.
"""

from pocketvision.metrics.accuracy import AccuracyMetric
from pocketvision.metrics.boundary import BoundaryIoUMetric
from pocketvision.metrics.cityscapes import CityscapesMetric
from pocketvision.metrics.coco import CocoMetric
from pocketvision.metrics.iou import IoUMetric, confusion_matrix

__all__ = [
    "AccuracyMetric",
    "BoundaryIoUMetric",
    "CityscapesMetric",
    "CocoMetric",
    "IoUMetric",
    "confusion_matrix",
]
