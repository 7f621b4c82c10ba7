"""SSD's loss with matching and backward, torchvision's and ours in turn; they must be equal to 1e-5.

    python benchmarks/loss.py [--batch 32] [--boxes 10] [--rounds 30]

Outputs are those of ssdlite320: 3234 anchors, 91 classes. ``--forward`` leaves the gradients out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from types import SimpleNamespace

import torch
from timing import interleaved, table
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.structures import BoxTarget, DetectionOutput
from pocketvision.losses import SSDLoss

SIDE, NUM_CLASSES = 320, 90
MAPS = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
TORCHVISION = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3.0)


def problem(num_images: int, num_boxes: int) -> tuple[DetectionOutput, list[BoxTarget]]:
    generator = torch.Generator().manual_seed(0)
    anchors = TorchvisionAnchors()(MAPS, (SIDE, SIDE))
    logits = torch.randn(num_images, len(anchors), NUM_CLASSES + 1, generator=generator).requires_grad_()
    deltas = torch.randn(num_images, len(anchors), 4, generator=generator).requires_grad_()
    targets = []
    for i in range(num_images):
        corner = torch.rand(num_boxes, 2, generator=generator) * SIDE * 0.7
        size = 8 + torch.rand(num_boxes, 2, generator=generator) * (SIDE * 0.9 - corner)
        boxes = torch.cat((corner, (corner + size).clamp(max=SIDE)), dim=1)
        labels = torch.randint(0, NUM_CLASSES, (num_boxes,), generator=generator)
        targets.append(BoxTarget(boxes, labels, i, (SIDE, SIDE)))
    return DetectionOutput(logits, deltas, anchors), targets


def torchvision_losses(output: DetectionOutput, targets: list[BoxTarget]) -> list[Tensor]:
    """As ``SSD.forward`` goes from head outputs to losses; the background is class 0 there."""
    matches = [SSDMatcher(0.5)(box_iou(x.boxes, output.anchors)) for x in targets]
    losses = SSD.compute_loss(
        TORCHVISION,
        [{"boxes": x.boxes, "labels": x.labels} for x in targets],
        {"bbox_regression": output.box_deltas, "cls_logits": output.class_logits},
        [output.anchors] * len(targets),
        matches,
    )
    return [losses["classification"], losses["bbox_regression"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--boxes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--forward", action="store_true")
    arguments = parser.parse_args()
    output, targets = problem(arguments.batch, arguments.boxes)
    theirs = output._replace(class_logits=output.class_logits.detach().roll(1, dims=-1).requires_grad_())
    shifted = [x._replace(labels=x.labels + 1) for x in targets]
    loss = SSDLoss(min_negatives_per_image=0)  # every image has boxes

    def run(losses: Callable[[], list[Tensor]], inputs: DetectionOutput) -> list[Tensor]:
        values = losses()
        if arguments.forward:
            return values
        gradients = torch.autograd.grad(sum(values), inputs[:2])  # type: ignore[arg-type]
        return [*values, *gradients]

    candidates: dict[str, Callable[[], list[Tensor]]] = {
        "torchvision": lambda: run(lambda: torchvision_losses(theirs, shifted), theirs),
        "SSDLoss": lambda: run(lambda: list(loss(output, targets).values()), output),
    }
    first, second = (candidate()[:2] for candidate in candidates.values())
    difference = max(abs(1 - a.item() / b.item()) for a, b in zip(first, second, strict=True))
    medians = interleaved(candidates, arguments.rounds)
    title = f"loss and matching, {arguments.batch} images of {arguments.boxes} boxes"
    print(table(f"{title}; relative difference {difference:.1e}", medians))
    return 0 if difference < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
