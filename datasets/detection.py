"""Records -> images and boxes at the size of the model's input."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DetectionSamples
from pocketvision.datasets.augmentation import DetectionAugmentation
from pocketvision.datasets.images import Array, read_image
from pocketvision.datasets.records import DetectionRecords
from pocketvision.datasets.sampling import EpochIndex, sample_rng


class DetectionDataset(Dataset[tuple[Tensor, BoxTarget]]):
    """Images (3, H, W) uint8 RGB of the input's size with boxes in its pixels; crowd boxes are left out.

    ``augmentation`` None gives the resized image as evaluation needs it. Index it with i, or with
    (epoch, i) as an :class:`EpochSampler` does; augmentation depends on (seed, epoch, i) only.
    """

    def __init__(
        self,
        records: DetectionRecords,
        resize: Resize,
        augmentation: DetectionAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.records = records
        self.resize = resize
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | EpochIndex) -> tuple[Tensor, BoxTarget]:
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        image = self._read(index)
        height, width = image.shape[:2]
        owned = self.records.boxes_of(index)
        trained = ~self.records.crowd[owned]
        boxes, labels = self.records.boxes[owned][trained], self.records.labels[owned][trained]
        if self.augmentation is None:
            image, boxes = self.resize.apply(image), self.resize.apply_to_boxes(boxes, (height, width))
        else:
            rng = sample_rng(self.seed, epoch, index)
            image, boxes, labels = self.augmentation(image, boxes, labels, self.resize, rng)
        target = BoxTarget(
            boxes=torch.from_numpy(np.ascontiguousarray(boxes, dtype=np.float32)),
            labels=torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)),
            image_id=int(self.records.image_ids[index]),
            original_size=(height, width),
        )
        return to_tensor(image), target

    def _read(self, index: int) -> Array:
        path = self.records.image_paths[index]
        image = read_image(path)
        height, width = self.records.sizes[index].tolist()
        if image.shape[:2] != (height, width):
            raise InputError(
                f"{path} is {image.shape[1]}x{image.shape[0]} pixels, but its annotation says "
                f"{width}x{height}: its boxes belong to another version of the image; replace one of the two."
            )
        return image


def to_tensor(image: Array) -> Tensor:
    """(H, W, 3) uint8 array -> (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def collate_detection(samples: list[tuple[Tensor, BoxTarget]]) -> DetectionSamples:
    """Stack the images of a batch; targets stay a list, as images have different numbers of boxes."""
    images, targets = zip(*samples, strict=True)
    return DetectionSamples(torch.stack(images), list(targets))
