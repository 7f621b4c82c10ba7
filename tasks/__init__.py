"""Tasks: the only LightningModules, and training."""

from typing import TYPE_CHECKING

from pocketvision.core.later import Later

if TYPE_CHECKING:
    from pocketvision.tasks.classification import ClassificationTask
    from pocketvision.tasks.detection import DetectionTask
    from pocketvision.tasks.segmentation import SegmentationTask
else:
    # Every config names its task, and Lightning takes seconds to import: only training needs it.
    ClassificationTask = Later("pocketvision.tasks.classification", "ClassificationTask")
    DetectionTask = Later("pocketvision.tasks.detection", "DetectionTask")
    SegmentationTask = Later("pocketvision.tasks.segmentation", "SegmentationTask")

__all__ = ["ClassificationTask", "DetectionTask", "SegmentationTask"]
