"""From raw output to final detections: scores, class-wise NMS and decoding, without Python loops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pocketvision.core.boxes import SSDBoxCoder, clip_boxes
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.structures import DetectionBatch, DetectionOutput, Size

if TYPE_CHECKING:
    from torch import Tensor

# PyTorch is imported where it computes: an exported file states these settings without it.


@dataclass(frozen=True)
class SSDPostprocess:
    """Threshold, decode, clip, class-wise NMS, best ``max_detections``: as torchvision's SSD, batched.

    Each class enters NMS with its best ``candidates_per_class`` anchors. NMS is greedy in order of
    score, so a first round over the best (anchor, class) pairs is final for every image that it
    gives ``max_detections`` boxes or that has no further candidates; else a round over more follows.
    """

    score_threshold: float = 0.001
    iou_threshold: float = 0.55
    candidates_per_class: int = 300
    max_detections: int = 300
    first_round: int = 1000
    coder: BoxCoder = field(default_factory=SSDBoxCoder)
    score_function: Literal["softmax", "sigmoid"] = "softmax"
    reserved_labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("candidates_per_class", "max_detections", "first_round"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}: give a whole number from 1 up.")

    def giving(self, max_detections: int) -> SSDPostprocess:
        """The same with another limit; of crowded images more candidates of a class must then enter NMS."""
        is_more = max_detections > self.max_detections
        candidates = max(self.candidates_per_class, 3 * max_detections if is_more else 0)
        return replace(self, max_detections=max_detections, candidates_per_class=candidates)

    def __call__(self, output: DetectionOutput, image_size: Size) -> DetectionBatch:
        """Detections of N images in pixels of an input of ``image_size``."""
        scores = self.scores(output.class_logits)
        num_classes = scores.shape[2]
        num_pairs = scores.shape[1] * num_classes
        size = min(self.first_round, num_pairs)
        while True:
            best, anchor, label = best_pairs(scores, size)
            deltas = output.box_deltas.gather(1, anchor[..., None].expand(-1, -1, 4)).float()
            boxes = clip_boxes(self.coder.decode(deltas, output.anchors[anchor]), image_size)
            is_candidate = (best > self.score_threshold) & self._within_class_limit(label, num_classes)
            kept = self._suppress(boxes, best, label, is_candidate, num_classes)
            has_all = (best[:, -1:] <= self.score_threshold).all(dim=1)
            if size == num_pairs or bool((has_all | (kept.sum(dim=1) >= self.max_detections)).all()):
                return self._pack(boxes, best, label, kept)
            size = min(size * 4, num_pairs)

    def scores(self, class_logits: Tensor) -> Tensor:
        """class_logits (N, A, K + 1) or (N, A, K) -> scores (N, A, K); reserved slots score 0."""
        import torch

        logits = class_logits.float()
        scores = logits.softmax(dim=-1)[..., :-1] if self.score_function == "softmax" else logits.sigmoid()
        if self.reserved_labels:
            scores = scores.index_fill(-1, torch.tensor(self.reserved_labels, device=scores.device), 0.0)
        return scores

    def _within_class_limit(self, label: Tensor, num_classes: int) -> Tensor:
        """Labels (N, k), best score first -> whether each is among its class's best candidates."""
        import torch

        if label.shape[1] <= self.candidates_per_class:
            return torch.ones_like(label, dtype=torch.bool)
        order = label.argsort(dim=1, stable=True)
        counts = torch.zeros(len(label), num_classes, dtype=label.dtype, device=label.device)
        counts.scatter_add_(1, label, torch.ones_like(label))
        starts = (counts.cumsum(dim=1) - counts).gather(1, label.gather(1, order))
        rank = torch.arange(label.shape[1], device=label.device) - starts
        return torch.zeros_like(label, dtype=torch.bool).scatter_(1, order, rank < self.candidates_per_class)

    def _suppress(
        self, boxes: Tensor, scores: Tensor, label: Tensor, is_candidate: Tensor, num_classes: int
    ) -> Tensor:
        """One NMS over the batch: images and classes are moved apart, in float64 to keep IoU exact."""
        import torch
        from torchvision.ops import nms

        image = torch.arange(len(label), device=label.device)[:, None]
        group = (image * num_classes + label)[is_candidate]
        # Apple's GPUs have no float64.
        device = torch.device("cpu") if boxes.device.type == "mps" else boxes.device
        wide = boxes[is_candidate].to(device).double()
        offset = (wide.max() + 1.0 if len(wide) else 1.0) * group[:, None].to(device)
        kept = nms(wide + offset, scores[is_candidate].to(device).double(), self.iou_threshold)
        kept = kept.to(boxes.device)
        keeps = torch.zeros(len(wide), dtype=torch.bool, device=label.device).index_fill_(0, kept, True)
        return torch.zeros_like(is_candidate).masked_scatter_(is_candidate, keeps)

    def _pack(self, boxes: Tensor, scores: Tensor, label: Tensor, kept: Tensor) -> DetectionBatch:
        """Move the kept of (N, k) to the front, best first, and pad."""
        rank = kept.cumsum(dim=1) - 1
        kept = kept & (rank < self.max_detections)
        counts = kept.sum(dim=1)
        image, _ = kept.nonzero(as_tuple=True)
        shape = (len(kept), int(counts.max()) if len(kept) else 0)
        packed = DetectionBatch(
            boxes.new_zeros(*shape, 4), scores.new_zeros(shape), label.new_full(shape, -1), counts
        )
        place = (image, rank[kept])
        packed.boxes[place], packed.scores[place], packed.labels[place] = (
            boxes[kept],
            scores[kept],
            label[kept],
        )
        return packed


def best_pairs(scores: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (N, A, K) -> score, anchor and label of the best ``size`` pairs, each (N, size), best first.

    They belong to the ``size`` anchors whose best classes score highest, so only those are ranked in full.
    """
    num_classes = scores.shape[2]
    anchors = None
    if size < scores.shape[1]:
        anchors = scores.amax(dim=2).topk(size, dim=1, sorted=False).indices
        scores = scores.gather(1, anchors[..., None].expand(-1, -1, num_classes))
    best, index = scores.flatten(1).topk(size, dim=1)
    place, label = index // num_classes, index % num_classes
    return best, place if anchors is None else anchors.gather(1, place), label
