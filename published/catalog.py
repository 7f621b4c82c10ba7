"""Published whole models by the names that users know: file, hash and classes."""

from __future__ import annotations

from typing import Any, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.heads import DeepLabV3Head
from pocketvision.models import Detector, Segmenter, VisionModel

_ClassNames = tuple[str | None, ...]
NAMES = ("coco", "coco-voc")


class PublishedFile(NamedTuple):
    """A file of torchvision's: its address, which ends with its hash, its classes in our order and their ids
    in its data set."""

    url: str
    class_names: _ClassNames
    class_ids: tuple[int, ...]


def find_published(name: str, model: VisionModel) -> PublishedFile:
    """The file called ``name`` for a model of this kind: ``coco`` for SSDLite320, ``coco-voc`` for
    LR-ASPP and DeepLabv3, trained on COCO's images with the classes of Pascal VOC, which ``coco`` finds too.

    Raises:
        InputError: there is no such file for this kind of model.
    """
    if isinstance(model, Segmenter):
        name = "coco-voc"
    elif name != "coco" or not isinstance(model, Detector):
        known = "'coco'" if isinstance(model, Detector) else "'imagenet'"
        raise InputError(
            f"There are no published weights '{name}' for a {type(model).__name__.lower()}: choose {known}, "
            "or give a weights file or run folder."
        )
    is_deeplab = isinstance(model, Segmenter) and isinstance(model.head, DeepLabV3Head)
    names = published_class_names(name)
    first = 1 if name == "coco" else 0  # COCO's ids are torchvision's labels, whose 0 is the background
    return PublishedFile(_torchvision(name, is_deeplab).url, names, tuple(range(first, first + len(names))))


def published_class_names(name: str) -> _ClassNames:
    """The classes of published weights in our order: without a detector's background, None for slots
    that COCO leaves empty (torchvision calls them "N/A"). ImageNet's have words, not ids of WordNet."""
    if name == "imagenet":
        from torchvision.models import MobileNet_V2_Weights

        return tuple(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])
    categories = _torchvision(name).meta["categories"][1:]
    if name == "coco":
        return tuple(None if category == "N/A" else category for category in categories)
    return ("background", *categories)


def _torchvision(name: str, is_deeplab: bool = False) -> Any:
    """torchvision's own entry, imported late: it is slow, and most weights are files."""
    from torchvision.models import detection, segmentation

    if name == "coco":
        return detection.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1
    if is_deeplab:
        return segmentation.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    return segmentation.LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
