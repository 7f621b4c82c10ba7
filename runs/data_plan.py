"""What a config says of its data set, for the data doctor: where it lies, its classes, input and anchors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.structures import names_by_task
from pocketvision.datasets.formats.detect import FoundData, detect_format
from pocketvision.doctor.anchors.reach import AnchorLayout
from pocketvision.doctor.check import Plan
from pocketvision.models import Classifier, Detector, JointModel, SingleModel
from pocketvision.runs.build import build_model, refusing_bad_values


def plans_of(experiment: Experiment) -> list[tuple[FoundData, Plan]]:
    """The data set and the plan of each task of an experiment; nothing of the data is read, nor any weights.

    Raises:
        InputError: the data is generated, or a part refuses a value.
    """
    names = experiment.class_names
    known = None if names is None else tuple(names)
    parts = parameters(experiment.data).get("parts")
    # A number of classes is needed to build the model, whose anchors do not depend on it.
    unknown = ("object",) if parts is None else tuple(f"{task}/object" for task in parts)
    with refusing_bad_values():
        model = build_model(experiment, known or unknown)
    if not isinstance(model, JointModel):
        return [_plan(parameters(experiment.data), model, known)]
    assert parts is not None, "a joint model has joint data"
    own = dict.fromkeys(model.tasks) if known is None else names_by_task(known)
    return [_plan(parameters(parts[task]), model.part(task), own[task]) for task in model.tasks]


def _plan(
    settings: Mapping[str, Any], model: SingleModel, known: tuple[str | None, ...] | None
) -> tuple[FoundData, Plan]:
    root = settings.get("root")
    if root is None:
        raise InputError("The config's data is generated: there are no files to check.")
    found = detect_format(Path(str(root)).expanduser(), _task_of(model))
    return found, Plan(
        class_names=tuple(settings["class_names"]) if settings.get("class_names") else known,
        ignore_ids=tuple(settings.get("ignore_ids") or ()),
        resize=model.resize,
        pixels=model.resize.pixels,
        anchors=_anchors(model),
        crop_size=getattr(settings.get("augmentation"), "crop_size", None),
    )


def _task_of(model: SingleModel) -> str:
    if isinstance(model, Detector):
        return "detection"
    return "classification" if isinstance(model, Classifier) else "segmentation"


def _anchors(model: SingleModel) -> AnchorLayout | None:
    if not isinstance(model, Detector) or isinstance(model.postprocess.coder, DistanceBoxCoder):
        return None  # anchors of a dense head need not overlap a box to learn it
    strides = tuple(info.stride for info in model.backbone.feature_info.values())
    return AnchorLayout("config", model.anchors, strides)
