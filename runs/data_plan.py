"""What a config says of its data set, for the data doctor: where it lies, its classes, input and anchors."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.datasets.formats.detect import FoundData, detect_format
from pocketvision.doctor.anchors.reach import AnchorLayout
from pocketvision.doctor.check import Plan
from pocketvision.models import Classifier, Detector, VisionModel
from pocketvision.runs.build import build_model, refuse_several_tasks, refusing_bad_values


def plan_of(experiment: Experiment) -> tuple[FoundData, Plan]:
    """The data set and the plan of an experiment; nothing of the data is read and no weights are loaded.

    Raises:
        InputError: the data is generated, or a part refuses a value.
    """
    settings = parameters(experiment.data)
    root = settings.get("root")
    refuse_several_tasks(experiment, "check-data CONFIG", "give the PATH of each data set")
    if root is None:
        raise InputError("The config's data is generated: there are no files to check.")
    names = experiment.class_names
    known = None if names is None else tuple(names)
    with refusing_bad_values():
        # A number of classes is needed to build the model, whose anchors do not depend on it.
        model = build_model(experiment, known or ("object",))
    found = detect_format(Path(str(root)).expanduser(), _task_of(model))
    return found, Plan(
        class_names=tuple(settings["class_names"]) if settings.get("class_names") else known,
        ignore_ids=tuple(settings.get("ignore_ids") or ()),
        resize=model.resize,
        pixels=model.resize.pixels,
        anchors=_anchors(model),
        crop_size=getattr(settings.get("augmentation"), "crop_size", None),
    )


def _task_of(model: VisionModel) -> str:
    if isinstance(model, Detector):
        return "detection"
    return "classification" if isinstance(model, Classifier) else "segmentation"


def _anchors(model: VisionModel) -> AnchorLayout | None:
    if not isinstance(model, Detector) or isinstance(model.postprocess.coder, DistanceBoxCoder):
        return None  # anchors of a dense head need not overlap a box to learn it
    strides = tuple(info.stride for info in model.backbone.feature_info.values())
    return AnchorLayout("config", model.anchors, strides)
