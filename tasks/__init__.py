"""Tasks: the only LightningModules, and training."""

from typing import TYPE_CHECKING

from pocketvision.core.later import Later

if TYPE_CHECKING:
    from pocketvision.tasks.classification import ClassificationTask
    from pocketvision.tasks.detection import DetectionTask
    from pocketvision.tasks.joint.task import JointTask
    from pocketvision.tasks.segmentation import SegmentationTask
else:
    # Every config names its task, and Lightning takes seconds to import: only training needs it.
    ClassificationTask = Later("pocketvision.tasks.classification", "ClassificationTask")
    DetectionTask = Later("pocketvision.tasks.detection", "DetectionTask")
    JointTask = Later("pocketvision.tasks.joint.task", "JointTask")
    SegmentationTask = Later("pocketvision.tasks.segmentation", "SegmentationTask")

__all__ = ["ClassificationTask", "DetectionTask", "JointTask", "SegmentationTask"]
