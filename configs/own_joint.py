"""Boxes, a map and classes in one forward pass of any MobileNet: for ``train --data PATH --data PATH``.

    python tools/train.py --data BOXES --data MASKS [--model gfl_v2 --model lraspp_v2]

This file alone trains on COCO JSON and VOC masks: python tools/train.py configs/own_joint.py
with data.parts.detection.root=/data/boxes data.parts.segmentation.root=/data/masks, where they lie, and
class_names=None for the classes that they have.

Expected: AP and mIoU that depend on the data. ``train --data`` writes a config that replaces tasks, anchors,
image size, class weights, turns and recipe with what fits the data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch.optim import AdamW

from pocketvision.backbones.by_name import build_with, find_builder, hidden_channels
from pocketvision.configs import own_classification, own_detection, own_detection_gfl, own_segmentation
from pocketvision.configs.street_v2 import STREET_NAMES
from pocketvision.core.config import Experiment
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, Padding
from pocketvision.core.protocols import Anchors, Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size, join_names, names_by_task
from pocketvision.datasets import (
    VOC_SEGMENTATION_NAMES,
    CocoDataModule,
    JointDataModule,
    VocSegmentationDataModule,
)
from pocketvision.losses import SegmentationCrossEntropy, SSDLoss
from pocketvision.models import Classifier, JointModel, SharedBackbone
from pocketvision.tasks import DetectionTask, JointTask, SegmentationTask

HEADS = {"detection": "ssdlite", "segmentation": "lraspp", "classification": "classifier"}
"""The family of each task's head."""


class _Reader(NamedTuple):
    """Features that a head reads, those it reads of a backbone without them, and what builds it on them."""

    features: tuple[str, ...]
    plain: tuple[str, ...]
    build: Callable[..., Any]


def _readers(
    backbone: str, anchors: Anchors | None, padding: Padding, inputs: Mapping[str, Any], **options: Any
) -> dict[str, _Reader]:
    """All families, for a backbone; ``inputs`` are mean and std, ``options`` those of boxes."""
    builder = find_builder(backbone)
    hidden = hidden_channels(builder)
    deepest = "c5" if hidden is None else "last"
    boxes = {**options, **inputs} if anchors is None else {**options, **inputs, "anchors": anchors}
    map_on = partial(own_segmentation.map_on, **inputs)
    channels = own_detection_gfl.CHANNELS.get(backbone, 96)
    ssdlite = partial(own_detection.ssdlite_on, padding=padding, **boxes)
    gfl = partial(own_detection_gfl.gfl_on, channels=channels, **boxes)
    levels = "c3", "c4", "c5"
    return {
        "ssdlite": _Reader(own_detection.TAPS, own_detection.PLAIN_TAPS, ssdlite),
        "gfl": _Reader(levels, levels, gfl),
        "lraspp": _Reader((*own_segmentation.LOW, deepest), (*own_segmentation.PLAIN_LOW, "c5"), map_on),
        "deeplabv3": _Reader((deepest,), ("c5",), partial(map_on, head="deeplabv3")),
        "classifier": _Reader(("last",), ("c5",), partial(_classes_on, hidden_channels=hidden, **inputs)),
    }


def model(
    class_names: Sequence[str | None],
    backbone: str = "v3_small",
    heads: Mapping[str, str] = HEADS,
    image_size: Size = (320, 320),
    mode: Literal["stretch", "letterbox"] = "stretch",
    anchors: Anchors | None = None,
    norm_momentum: float = 0.03,
    weights: str | Path | None = "imagenet",
    max_detections: int = 100,
    padding: Padding = "torch",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> JointModel:
    """The head of each task that ``class_names`` have, on one backbone at stride 32.

    Each is the head that a model of its task alone has, so that runs of one task can begin one of several.

    Raises:
        ValueError: there is no such backbone or family of heads.
    """
    names = names_by_task(class_names)
    options = {"norm_momentum": norm_momentum, "max_detections": max_detections}
    known = _readers(backbone, anchors, padding, {"mean": mean, "std": std}, **options)
    if unknown := [heads[task] for task in names if heads[task] not in known]:
        raise ValueError(
            f"there is no head {unknown[0]!r} for several tasks: choose from {', '.join(known)}."
        )
    readers = {task: known[heads[task]] for task in names}
    body = _body_for(
        readers.values(), backbone, weights=weights, norm_momentum=norm_momentum, padding=padding
    )
    resize, parts = Resize(image_size, mode=mode), []
    for task, reader in readers.items():
        has_all = body.feature_info.keys() >= set(reader.features)
        own = SharedBackbone(body, reader.features if has_all else reader.plain)
        parts.append(reader.build(own, names[task], resize))
    return JointModel(body, *parts)


def _body_for(readers: Collection[_Reader], backbone: str, **options: Any) -> Backbone:
    """A backbone with all features that the heads read."""
    features = dict.fromkeys(chain.from_iterable(reader.features for reader in readers))
    plain = dict.fromkeys(chain.from_iterable(reader.plain for reader in readers))
    return build_with(find_builder(backbone), tuple(features), tuple(plain), **options)


def _classes_on(
    body: Backbone,
    class_names: Sequence[str | None],
    resize: Resize,
    hidden_channels: int | None,
    **inputs: Any,
) -> Classifier:
    """The paper's classifier, on the only feature of a backbone."""
    (feature,) = body.feature_info
    head = partial(
        own_classification.FAMILIES["classifier"], feature=feature, hidden_channels=hidden_channels
    )
    return Classifier(backbone=body, head=head, class_names=class_names, resize=resize, **inputs)


config = Experiment(
    class_names=join_names({"detection": STREET_NAMES, "segmentation": VOC_SEGMENTATION_NAMES}),
    model=partial(model, image_size=(320, 320)),
    task=partial(
        JointTask,
        tasks={
            "detection": partial(DetectionTask, loss=SSDLoss()),
            "segmentation": partial(SegmentationTask, loss=SegmentationCrossEntropy()),
        },
        optimizer=partial(AdamW, lr=1e-3, weight_decay=0.05, fused=True),
        reference_batch=8,
        warmup_steps=100,
        backbone_lr_factor=0.4,
    ),
    data=partial(
        JointDataModule,
        parts={
            "detection": partial(CocoDataModule, root="data/boxes", augmentation=own_detection.AUGMENTATION),
            "segmentation": partial(
                VocSegmentationDataModule, root="data/masks", augmentation=own_segmentation.AUGMENTATION
            ),
        },
        batch_size=8,
    ),
    trainer={"max_epochs": 60, "check_val_every_n_epoch": 12},
)
