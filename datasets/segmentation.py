"""Records -> images at the size of the model's input, and masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import (
    IGNORE_INDEX,
    OTHER_INDEX,
    MaskTarget,
    SegmentationSamples,
    Size,
)
from pocketvision.datasets.augment.recipes import SegmentationAugmentation
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.images.picture import Picture, as_picture
from pocketvision.datasets.images.read import Array, Reading, match_mask, read_mask
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import sample_rng
from pocketvision.datasets.tiles.picture import TilePicture, cut_out
from pocketvision.datasets.tiles.table import Tiled


class SegmentationDataset(SampleDataset[SegmentationRecords, SegmentationAugmentation, MaskTarget]):
    """Images (3, H, W) uint8 RGB and masks of class indices, 255 where ignored.

    With ``augmentation`` both have its crop size; without, the image has the input's size and the
    mask (h, w) uint8 that of the file, as evaluation needs it, with ``OTHER_INDEX`` where
    the records have it. Index it as :class:`DetectionDataset`.
    """

    def __init__(
        self,
        records: SegmentationRecords,
        resize: Resize,
        augmentation: SegmentationAugmentation | None = None,
        *,
        seed: int = 0,
        tiled: Tiled[SegmentationRecords] | None = None,
    ) -> None:
        super().__init__(records, resize, augmentation, seed=seed, tiled=tiled)
        self.has_others = bool((records.lookup == OTHER_INDEX).any())

    def sample(self, epoch: int, index: int, time: int = 0) -> tuple[Tensor, MaskTarget]:
        read, mask = self.read(index)
        picture = as_picture(read)
        if self.augmentation is None:
            image, size = self.resize.apply(picture.read().pixels), picture.size
        else:
            size, rng = picture.size, sample_rng(self.seed, epoch, index, time)
            image, mask = self.augmentation(picture, self.learned(mask), self.resize, rng)
        target = MaskTarget(
            mask=torch.from_numpy(np.ascontiguousarray(mask)),
            image_id=self.image_id(index),
            original_size=size,
            tile=None if self.tiles is None else self.tiles.place(index),
        )
        return to_tensor(image), target

    def cached_files(self) -> list[tuple[str, Size | None]]:
        return [*super().cached_files(), *((path, None) for path in self.pictures.mask_paths)]

    def learned(self, mask: Array) -> Array:
        """A mask without pixels of classes that the model does not know: they are ignored."""
        return np.where(mask == OTHER_INDEX, np.uint8(IGNORE_INDEX), mask) if self.has_others else mask

    def read(self, index: int) -> tuple[Array | Picture, Array]:
        """An image, which may not be decoded yet, and its mask (H, W) of classes.

        Raises:
            InputError: one can't be read, or their sizes differ.
        """
        image_path, mask_path = self.records.image_paths[index], self.records.mask_paths[index]
        picture, mask = self.picture_file(image_path), self._read_mask(mask_path)
        if picture.size != mask.shape:
            mask = match_mask(mask, image_path)
        if picture.size != mask.shape:
            raise InputError(
                f"{mask_path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its image {image_path} is "
                f"{picture.size[1]}x{picture.size[0]}: bring both to one size."
            )
        source = self.records.source(index)
        if self.tiles is None:
            return picture, self.records.to_classes(mask, source)
        window = self.tiles.window(index)
        part = self.records.to_classes(np.ascontiguousarray(cut_out(mask, window)), source)
        return TilePicture(self.read_tiled(image_path, picture.read), window), part

    def _read_mask(self, path: str) -> Array:
        def decode() -> Reading:
            mask = read_mask(path)
            size = mask.shape[0], mask.shape[1]
            return Reading(mask, size, size)

        if self.cache is not None:
            return self.cache.load(path, None, decode).pixels
        return (decode if self.tiles is None else self.read_tiled(path, decode))().pixels


def collate_segmentation(samples: list[tuple[Tensor, MaskTarget]]) -> SegmentationSamples:
    """Stack the images of a batch; targets stay a list, as original masks have different sizes."""
    images, targets = zip(*samples, strict=True)
    return SegmentationSamples(torch.stack(images), list(targets))
