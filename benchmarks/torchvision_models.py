"""torchvision's SSD and LRASPP on its MobileNetV2, behind the evaluation's protocols."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead, _extra_block
from torchvision.models.segmentation.lraspp import LRASPP
from torchvision.transforms import v2

from pocketvision.core.structures import IGNORE_INDEX, DetectionBatch, Detections, stack_detections

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_backbone(weights: Path) -> nn.Sequential:
    """torchvision's features with its published weights."""
    model = mobilenet_v2(weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    features: nn.Sequential = model.features
    return features


class Maps(nn.Module):
    """The four maps of ``ssdlite_v2_bccd``: expansions at stride 8 and 16, the last layer, an extra block."""

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features, self.extra = features, _extra_block(1280, 256, nn.BatchNorm2d)
        for layer in self.extra.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.03)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps = []
        for index, block in enumerate(self.features):
            if index in (7, 14):  # the blocks that lead to stride 16 and 32
                maps.append(block.get_submodule("conv.0")(x))
            x = block(x)
        maps += [x, self.extra(x)]
        return OrderedDict((str(i), tensor) for i, tensor in enumerate(maps))


class GivenAnchors(nn.Module):
    """Our anchors in torchvision's socket."""

    def __init__(self, anchors: Tensor, per_location: Sequence[int]) -> None:
        super().__init__()
        self.anchors, self.per_location = anchors, list(per_location)

    def num_anchors_per_location(self) -> list[int]:
        return self.per_location

    def forward(self, images: Any, maps: list[Tensor]) -> list[Tensor]:
        return [self.anchors for _ in images.image_sizes]


class TorchvisionDetector(nn.Module):
    """torchvision's SSD behind the evaluation's protocol."""

    def __init__(self, ours: Any, weights: Path) -> None:
        super().__init__()
        size = ours.resize.image_size
        with torch.no_grad():
            anchors = ours(torch.zeros(1, 3, *size, dtype=torch.uint8)).anchors
        per_location = ours.anchors.num_anchors(4)
        num_classes = len(ours.class_names) + 1
        maps = Maps(published_backbone(weights))
        self.class_names, self.restore = ours.class_names, ours.restore
        self.model = SSD(
            maps, GivenAnchors(anchors, per_location), size, num_classes,
            head=SSDLiteHead([192, 576, 1280, 256], per_location, num_classes, nn.BatchNorm2d),
            image_mean=MEAN, image_std=STD,
            score_thresh=ours.postprocess.score_threshold, nms_thresh=ours.postprocess.iou_threshold,
            detections_per_img=ours.postprocess.max_detections, topk_candidates=300,
        )  # fmt: skip

    def losses(self, batch: list[tuple[Tensor, dict[str, Tensor]]]) -> Tensor:
        images, targets = zip(*batch, strict=True)
        return torch.stack(list(self.model(list(images), list(targets)).values())).sum()

    @torch.no_grad()
    def predict(self, images: Tensor) -> DetectionBatch:
        found = self.model(list(images.float() / 255))
        return stack_detections([Detections(x["boxes"], x["scores"], x["labels"] - 1) for x in found])


class TorchvisionSegmenter(nn.Module):
    """torchvision's LRASPP on V2 behind the evaluation's protocol; torchvision has no dilated V2."""

    def __init__(self, ours: Any, weights: Path) -> None:
        super().__init__()
        features = published_backbone(weights)
        self.class_names, self.resize = ours.class_names, ours.resize
        self.model = LRASPP(_LowHigh(features), 32, 1280, len(ours.class_names))
        self.normalize = v2.Normalize(MEAN, STD)

    def losses(self, batch: list[tuple[Tensor, Tensor]]) -> Tensor:
        images, masks = (torch.stack(x) for x in zip(*batch, strict=True))
        logits = self.model(self.normalize(images).contiguous(memory_format=torch.channels_last))["out"]
        return nn.functional.cross_entropy(logits, masks, ignore_index=IGNORE_INDEX)

    @torch.no_grad()
    def predict(self, images: Tensor, original_sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        logits = self.model(self.normalize(images.float() / 255))["out"]
        sizes = zip(logits, original_sizes, strict=True)
        return [self.resize.restore_logits(x, size).argmax(0).to(torch.uint8) for x, size in sizes]


class _LowHigh(nn.Module):
    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.low, self.high = features[:7], features[7:]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.low(x)
        return {"low": low, "high": self.high(low)}
