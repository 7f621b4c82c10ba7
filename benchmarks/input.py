"""Images a second from JPEG files to a training batch, on one core, beside torchvision.

    python benchmarks/input.py SHARED/data/coco_mini

The images of a COCO set are first written as 640x480 JPEGs. torchvision's side is its reference training
of ssdlite320_mobilenet_v3_large: PIL, the preset "ssdlite" of pytorch/vision:references/detection/presets.py
in transforms v2 (RandomIoUCrop, RandomHorizontalFlip, float), and the model's own GeneralizedRCNNTransform,
which normalizes and resizes image by image. Ours ends with the uint8 batch that goes to the model, which
normalizes it where it is; a row of its own says what that costs where this is the same core.
Rounds are interleaved; a figure is the median of the rounds, in seconds of this process's CPU time, which
other programs disturb less than the clock.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2

from pocketvision.core.layers import Normalize
from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionAugmentation, DetectionDataset, DetectionRecords, read_coco
from pocketvision.datasets.detection import collate_detection
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.read import read_image

NUM_IMAGES, BATCH, ROUNDS = 96, 32, 7
INPUT, PHOTO = (320, 320), (480, 640)
SSDLITE = DetectionAugmentation(expand_probability=0.0, photometric=False)
SSD = DetectionAugmentation()
MEAN = STD = (0.5, 0.5, 0.5)


def write_photos(records: DetectionRecords, folder: Path) -> DetectionRecords:
    """The first images with boxes as 640x480 JPEGs of quality 92."""
    chosen = np.flatnonzero(np.diff(records.offsets))[:NUM_IMAGES]
    paths, counts, boxes, labels = [], [], [], []
    for index in chosen.tolist():
        image = cv2.resize(read_image(records.image_paths[index]), PHOTO[::-1], interpolation=cv2.INTER_CUBIC)
        paths.append(str(folder / f"{index}.jpg"))
        assert cv2.imwrite(paths[-1], image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        owned, size = records.boxes_of(index), tuple(records.sizes[index].tolist())
        boxes.append(Resize(PHOTO).apply_to_boxes(records.boxes[owned], size))
        labels.append(records.labels[owned])
        counts.append(len(boxes[-1]))
    flat = np.concatenate(boxes)
    return replace(
        records, image_paths=paths, image_ids=records.image_ids[chosen],
        sizes=np.tile(np.array([PHOTO], dtype=np.int32), (len(chosen), 1)),
        offsets=np.cumsum([0, *counts]), boxes=flat, labels=np.concatenate(labels),
        crowd=np.zeros(len(flat), dtype=np.bool_), areas=np.ones(len(flat)), difficult=None,
    )  # fmt: skip


def torchvision_batches(records: DetectionRecords) -> Callable[[int], None]:
    preset = v2.Compose(
        [
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(p=0.5),
            v2.ToImage(),
            v2.ToDtype(torch.float, scale=True),
            v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )
    of_model = GeneralizedRCNNTransform(320, 320, MEAN, STD, size_divisible=1, fixed_size=INPUT)

    def sample(index: int) -> tuple[torch.Tensor, dict[str, Any]]:
        image = Image.open(records.image_paths[index]).convert("RGB")
        owned = records.boxes_of(index)
        boxes = tv_tensors.BoundingBoxes(records.boxes[owned], format="XYXY", canvas_size=PHOTO)
        target = {"boxes": boxes, "labels": torch.from_numpy(records.labels[owned])}
        return preset(image, target)  # type: ignore[no-any-return]

    def run(epoch: int) -> None:
        for first in range(0, len(records), BATCH):
            images, targets = zip(*(sample(first + i) for i in range(BATCH)), strict=True)
            batch = of_model(list(images), list(targets))[0].tensors
            assert batch.shape == (BATCH, 3, *INPUT) and batch.dtype == torch.float

    return run


def our_batches(
    records: DetectionRecords,
    augmentation: DetectionAugmentation,
    cache: ImageCache | None = None,
    *,
    normalized: bool = False,
) -> Callable[[int], None]:
    dataset, normalize = DetectionDataset(records, Resize(INPUT), augmentation), Normalize(MEAN, STD)
    dataset.cache = cache

    def run(epoch: int) -> None:
        for first in range(0, len(records), BATCH):
            batch = collate_detection([dataset[epoch, first + i] for i in range(BATCH)])
            assert batch.images.shape == (BATCH, 3, *INPUT) and batch.images.dtype == torch.uint8
            if normalized:
                normalize(batch.images)

    return run


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        records = write_photos(read_coco(sys.argv[1], "val"), Path(folder))
        cache = ImageCache(Path(folder, "cache"), 1 << 30)
        rows = {
            "torchvision, ssdlite preset": torchvision_batches(records),
            "ours, the same recipe": our_batches(records, SSDLITE),
            "ours, the same recipe, normalized": our_batches(records, SSDLITE, normalized=True),
            "ours, the same recipe, warm cache": our_batches(records, SSDLITE, cache),
            "ours, whole SSD recipe": our_batches(records, SSD),
            "ours, whole SSD recipe, warm cache": our_batches(records, SSD, cache),
        }
        rates: dict[str, list[float]] = {name: [] for name in rows}
        for epoch in range(ROUNDS + 1):  # the first round warms up
            for name, run in rows.items():
                start = time.process_time()
                run(epoch)
                rates[name].append(len(records) / (time.process_time() - start))
    reference = rates["torchvision, ssdlite preset"][1:]
    for name, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(found[1:], reference, strict=True)]
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"{name:36} {median(found[1:]):6.1f} images/s  {median(ratios):5.2f} times ({spread})")


if __name__ == "__main__":
    main()
