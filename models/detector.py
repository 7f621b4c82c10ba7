"""Backbone + head + anchors = Detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.layers import IMAGENET_MEAN, IMAGENET_STD, normalize_channels
from pocketvision.core.protocols import Anchors, Backbone
from pocketvision.core.resize import Resize
from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections, Features, Size
from pocketvision.models.input_facts import describe_inputs
from pocketvision.models.postprocess import SSDPostprocess


class Detector(nn.Module):
    """A single-shot detector for the classes ``class_names``.

    ``forward`` maps images (N, 3, H, W), uint8 or float 0..255 RGB, or of the channels of ``resize``,
    to a :class:`DetectionOutput`, in
    training and in inference alike; ``predict`` goes on to final detections.

    ``head`` is called with ``feature_info``, ``num_anchors`` (a cell, for each map) and
    ``num_outputs``, which ``score_function`` decides: one more than classes, for the background,
    with softmax scores. A name that is None keeps its slot but is never returned.

    Raises:
        ValueError: an unknown score function.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., nn.Module],
        class_names: Sequence[str | None],
        resize: Resize,
        anchors: Anchors | None = None,
        postprocess: SSDPostprocess | None = None,
        score_function: Literal["softmax", "sigmoid"] = "softmax",
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if score_function not in ("softmax", "sigmoid"):
            raise ValueError(f"score_function is {score_function!r}: choose 'softmax' or 'sigmoid'.")
        self.class_names = tuple(class_names)
        self.resize = resize
        self.anchors = anchors or TorchvisionAnchors()
        self.score_function = score_function
        self.postprocess = replace(
            postprocess or SSDPostprocess(),
            score_function=score_function,
            reserved_labels=tuple(i for i, name in enumerate(self.class_names) if name is None),
        )
        self.best_threshold: float | None = None
        """The score with the best F1 on validation images, once it is known."""
        self.normalize = normalize_channels(resize.pixels.channels, mean, std)
        self.backbone = backbone
        self.num_outputs = len(self.class_names) + (score_function == "softmax")
        self.head = head(
            feature_info=backbone.feature_info,
            num_anchors=self.anchors.num_anchors(len(backbone.feature_info)),
            num_outputs=self.num_outputs,
        )
        self._placed: dict[tuple[Any, ...], Tensor] = {}

    def forward(self, images: Tensor) -> DetectionOutput:
        return self.answer(self.features(images), images)

    def answer(self, features: Features, images: Tensor) -> DetectionOutput:
        """The output for images of which ``features`` are known."""
        class_logits, box_deltas, *_ = self.head(features)  # what is more is for a loss
        return DetectionOutput(class_logits, box_deltas, self.place_anchors(features, images))

    def features(self, images: Tensor) -> Features:
        """What the head reads of images (N, 3, H, W)."""
        with torch.autocast(images.device.type, enabled=False):
            normalized = self.normalize(images)
        return self.backbone(normalized)

    def place_anchors(self, features: Features, images: Tensor) -> Tensor:
        """Anchors (A, 4) xyxy pixels for these maps; computed once a size."""
        map_sizes = [(int(x.shape[-2]), int(x.shape[-1])) for x in features.values()]
        image_size = (int(images.shape[-2]), int(images.shape[-1]))
        if torch.compiler.is_compiling():  # a traced graph must not write to the model
            return self.anchors(map_sizes, image_size).to(images.device)
        key = (*map_sizes, image_size, images.device)
        if key not in self._placed:
            self._placed[key] = self.anchors(map_sizes, image_size).to(images.device)
        return self._placed[key]

    @torch.no_grad()
    def predict(self, images: Tensor) -> DetectionBatch:
        """Final detections of images (N, 3, H, W), in pixels of these images."""
        output = self(images)
        return self.postprocess(output, (int(images.shape[-2]), int(images.shape[-1])))

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]:
        """Detections in pixels of each original image, of which the input was resized."""
        return [
            self.resize.restore(image, size)
            for image, size in zip(detections.unpad(), original_sizes, strict=True)
        ]

    def passport(self) -> dict[str, Any]:
        """What a weights file must say for the weights to be used rightly."""
        known = {} if self.best_threshold is None else {"threshold": self.best_threshold}
        return {
            "task": "detection",
            **known,
            **describe_inputs(self, self.class_names, self.normalize, self.resize),
            "anchors": repr(self.anchors),
            "coder": repr(self.postprocess.coder),
            "postprocess": repr(self.postprocess),
            "score_function": self.score_function,
        }


# torch.export can only save a graph whose output structures were given a stable name.
for _structure in (DetectionOutput, Detections, DetectionBatch):
    _pytree._register_namedtuple(
        _structure, serialized_type_name=f"pocketvision.core.structures.{_structure.__name__}"
    )
