"""Images that carry boxes and masks: one sample with the truth of both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.structures import MaskTarget, PairedSamples, PairedTarget
from pocketvision.datasets.detection import DetectionDataset, box_target, to_tensor
from pocketvision.datasets.images.picture import as_picture
from pocketvision.datasets.records.splits import take
from pocketvision.datasets.sampling import sample_rng
from pocketvision.datasets.segmentation import SegmentationDataset


class PairedDataset(DetectionDataset):
    """The images that are in ``boxes`` and in ``masks``, with the truth that each has of them.

    Both move together, by the augmentation of ``boxes`` without what mixes images; they have the size of
    the model's input, and crowd boxes are left out. Index it as :class:`DetectionDataset`.

    Attributes:
        masks: where images and masks are read from.
        places: (N,), the number of each image there.

    Raises:
        InputError: no file is in both.
    """

    def __init__(self, boxes: DetectionDataset, masks: SegmentationDataset) -> None:
        common = common_pictures(boxes.records.image_paths, masks.records.image_paths)
        if not len(common):
            raise InputError(
                "data.shares names both, and no training image with boxes has a mask: the files of both data "
                "sets must be the same ones. Leave it out, or correct data.parts."
            )
        super().__init__(take(boxes.records, common[:, 0]), boxes.resize, boxes.augmentation, seed=boxes.seed)
        self.masks, self.places = masks, common[:, 1]

    def sample(self, epoch: int, index: int, time: int = 0) -> tuple[Tensor, PairedTarget]:  # type: ignore[override]
        read, original = self.masks.read(int(self.places[index]))
        picture, mask = as_picture(read), self.masks.learned(original)
        boxes, labels = self._trained(index)
        if self.augmentation is None:
            image, mask = self.resize.apply(picture.read().pixels), self.resize.apply_to_mask(mask)
            boxes = self.resize.apply_to_boxes(boxes, picture.size)
        else:
            rng = sample_rng(self.seed, epoch, index, time)
            image, boxes, labels, mask = self.augmentation.with_mask(
                picture, boxes, labels, mask, self.resize, rng
            )
        whose = self.image_id(index), picture.size
        has_mask = MaskTarget(torch.from_numpy(np.ascontiguousarray(mask)), *whose)
        return to_tensor(image), PairedTarget(box_target(boxes, labels, *whose), has_mask)


def common_pictures(first: Sequence[str], second: Sequence[str]) -> npt.NDArray[np.int64]:
    """The files in both lists as numbers (N, 2) in each, in the order of the first."""
    real = lru_cache(maxsize=None)(os.path.realpath)  # of folders: they are few

    def place(path: str) -> tuple[str, str]:
        folder, name = os.path.split(path)
        return real(folder), name

    places = {place(path): number for number, path in enumerate(second)}
    pairs = [(number, places.get(place(path), -1)) for number, path in enumerate(first)]
    return np.array([pair for pair in pairs if pair[1] >= 0], dtype=np.int64).reshape(-1, 2)


def collate_paired(samples: list[tuple[Tensor, PairedTarget]]) -> PairedSamples:
    """Stack the images of a batch; targets stay a list."""
    images, targets = zip(*samples, strict=True)
    return PairedSamples(torch.stack(images), list(targets))
