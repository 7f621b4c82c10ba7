"""Recall ceiling of a detection config's anchors: the share of true boxes that some anchor overlaps enough.

    python benchmarks/anchor_recall.py ssdlite_v2_bccd test data.root=/data/bccd

A box below the ceiling's IoU can still be learned, from its forced best anchor.
"""

from __future__ import annotations

import sys

import torch

from pocketvision.core.boxes import box_iou
from pocketvision.core.command import command, find_config
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.models import Detector
from pocketvision.runs.build import build
from pocketvision.runs.folder import load_experiment

THRESHOLDS = (0.5, 0.6, 0.7)


@command
def main(argv: object = None) -> None:
    name, split, *overrides = sys.argv[1:]
    experiment, _ = load_experiment(find_config(name), overrides)
    model, data = build(experiment, pretrained=False)
    assert isinstance(model, Detector)
    anchors = model.eval()(torch.zeros(1, 3, *model.resize.image_size, dtype=torch.uint8)).anchors
    records = data.records(split)
    assert isinstance(records, DetectionRecords)
    best = []
    for index in range(len(records)):
        boxes = records.boxes[records.boxes_of(index)]
        height, width = records.sizes[index].tolist()
        resized = torch.from_numpy(model.resize.apply_to_boxes(boxes, (height, width)))
        best.append(box_iou(resized, anchors).amax(dim=1) if len(boxes) else torch.zeros(0))
    iou, labels = torch.cat(best), torch.from_numpy(records.labels)
    print(f"{name}, split {split}, {len(anchors)} anchors at {model.resize.image_size}")
    for label, class_name in enumerate(model.class_names):
        of_class = iou[labels == label]
        shares = ", ".join(f"{(of_class >= t).float().mean():.3f} at IoU {t}" for t in THRESHOLDS)
        print(
            f"{class_name}: {len(of_class)} boxes; recall ceiling {shares}; mean best {of_class.mean():.3f}"
        )


if __name__ == "__main__":
    sys.exit(main())
