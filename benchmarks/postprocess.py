"""Our postprocess against torchvision's for SSDLite V3-Large at 320x320, 90 classes, interleaved medians.

    python benchmarks/postprocess.py [--rounds 30] [--threads 2] [--cpu-time]

Three kinds of scores: as of a trained detector (some objects, a background that nearly always wins),
cluttered (a third of all pairs is above the threshold of 0.001) and untrained (nearly all are). The
results are compared too: each box must have a partner of the same label, score and place.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from types import SimpleNamespace

import torch
from timing import interleaved, table
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.ssd import SSD

from pocketvision.core.anchors import TorchvisionAnchors
from pocketvision.core.structures import DetectionOutput
from pocketvision.models import SSDPostprocess

SIZE = (320, 320)
MAPS = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
NUM_OBJECTS = 15
# Standard deviation of the class logits and lead of the background's.
KINDS = {"trained-like": (1.2, 9.5), "cluttered": (1.5, 7.0), "untrained": (0.1, 0.0)}
SETTINGS = {
    "score_thresh": 0.001,
    "nms_thresh": 0.55,
    "topk_candidates": 300,
    "detections_per_img": 300,
}


def make_output(kind: str, num_images: int) -> DetectionOutput:
    """Random logits of a kind, and boxes near their anchors."""
    generator = torch.Generator().manual_seed(0)
    anchors = TorchvisionAnchors()(MAPS, SIZE)
    spread, lead = KINDS[kind]
    logits = torch.randn(num_images, len(anchors), 91, generator=generator) * spread
    logits[..., -1] += lead
    for image in logits if kind == "trained-like" else ():
        for anchor in torch.randint(0, len(anchors), (NUM_OBJECTS,), generator=generator):
            near = ((anchors[:, :2] - anchors[anchor, :2]).abs().sum(dim=1) < 40).nonzero()[:, 0]
            label = torch.randint(0, 90, (1,), generator=generator)
            image[near, label] += 7 + torch.randn(len(near), generator=generator)
    deltas = torch.randn(num_images, len(anchors), 4, generator=generator) * 0.7
    return DetectionOutput(logits, deltas, anchors)


def torchvision_postprocess(output: DetectionOutput) -> list[dict[str, Tensor]]:
    """Theirs; their background is class 0."""
    ssd = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), **SETTINGS)
    count = len(output.class_logits)
    heads = {"bbox_regression": output.box_deltas, "cls_logits": output.class_logits.roll(1, dims=-1)}
    found: list[dict[str, Tensor]] = SSD.postprocess_detections(
        ssd, heads, [output.anchors] * count, [SIZE] * count
    )
    return found


def num_unmatched(output: DetectionOutput) -> int:
    """Boxes of ours without a partner of theirs or the other way round."""
    count = 0
    for ours, theirs in zip(
        SSDPostprocess()(output, SIZE).unpad(), torchvision_postprocess(output), strict=True
    ):
        is_same = (ours.boxes[:, None] - theirs["boxes"]).abs().amax(dim=-1) < 1e-2
        is_same &= (ours.scores[:, None] - theirs["scores"]).abs() < 1e-5
        is_same &= ours.labels[:, None] == theirs["labels"] - 1
        count += int((~is_same.any(dim=1)).sum() + (~is_same.any(dim=0)).sum())
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="of the process, for a busy machine")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for kind in KINDS:
        for num_images in (1, 4):
            output = make_output(kind, num_images)
            pairs = SSDPostprocess().scores(output.class_logits) > 0.001
            medians = interleaved(
                {
                    "torchvision": partial(torchvision_postprocess, output),
                    "SSDPostprocess": partial(SSDPostprocess(), output, SIZE),
                },
                arguments.rounds,
                time.process_time if arguments.cpu_time else time.perf_counter,
            )
            title = f"{kind}, batch {num_images}, {int(pairs.sum()) // num_images} candidates an image"
            print(table(f"{title}, {num_unmatched(output)} boxes differ", medians))


if __name__ == "__main__":
    main()
