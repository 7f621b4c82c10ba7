"""Records -> images at the size of the model's input, and masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import MaskTarget, SegmentationSamples
from pocketvision.datasets.augmentation import SegmentationAugmentation
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.images import Array, read_image, read_mask
from pocketvision.datasets.records import SegmentationRecords
from pocketvision.datasets.sampling import EpochIndex, sample_rng


class SegmentationDataset(Dataset[tuple[Tensor, MaskTarget]]):
    """Images (3, H, W) uint8 RGB and masks of class indices, 255 where ignored.

    With ``augmentation`` both have its crop size; without, the image has the input's size and the
    mask (h, w) uint8 that of the file, as evaluation needs it. Index it as :class:`DetectionDataset`.
    """

    def __init__(
        self,
        records: SegmentationRecords,
        resize: Resize,
        augmentation: SegmentationAugmentation | None = None,
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

    def __getitem__(self, key: int | EpochIndex) -> tuple[Tensor, MaskTarget]:
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        image, mask = self._read(index)
        height, width = image.shape[:2]
        if self.augmentation is None:
            image = self.resize.apply(image)
        else:
            image, mask = self.augmentation(image, mask, self.resize, sample_rng(self.seed, epoch, index))
        target = MaskTarget(
            mask=torch.from_numpy(np.ascontiguousarray(mask)),
            image_id=int(self.records.image_ids[index]),
            original_size=(height, width),
        )
        return to_tensor(image), target

    def _read(self, index: int) -> tuple[Array, Array]:
        image_path, mask_path = self.records.image_paths[index], self.records.mask_paths[index]
        image, mask = read_image(image_path), read_mask(mask_path)
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"{mask_path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its image {image_path} is "
                f"{image.shape[1]}x{image.shape[0]}: bring both to one size."
            )
        return image, self.records.to_classes(mask, mask_path)


def collate_segmentation(samples: list[tuple[Tensor, MaskTarget]]) -> SegmentationSamples:
    """Stack the images of a batch; targets stay a list, as original masks have different sizes."""
    images, targets = zip(*samples, strict=True)
    return SegmentationSamples(torch.stack(images), list(targets))
