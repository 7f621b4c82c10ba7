"""Records -> images at the size of the model's input, and their classes."""

from __future__ import annotations

import torch
from torch import Tensor

from pocketvision.core.resize import Resize
from pocketvision.core.structures import ClassificationSamples, ClassTarget
from pocketvision.datasets.augment.recipes import ClassificationAugmentation
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.records.annotations import ClassificationRecords
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import sample_rng


class ClassificationDataset(SampleDataset[ClassificationRecords, ClassificationAugmentation, ClassTarget]):
    """Images (3, H, W) uint8 RGB of the input's size and their labels.

    Index it as :class:`DetectionDataset`.
    """

    def __init__(
        self,
        records: ClassificationRecords,
        resize: Resize,
        augmentation: ClassificationAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(records, resize, augmentation, seed=seed)

    def sample(self, epoch: int, index: int, time: int = 0) -> tuple[Tensor, ClassTarget]:
        picture = self.picture_file(self.records.image_paths[index])
        if self.augmentation is None:
            image = self.resize.apply(picture.read().pixels)
        else:
            image = self.augmentation(picture, self.resize, sample_rng(self.seed, epoch, index, time))
        target = ClassTarget(
            label=int(self.records.labels[index]),
            image_id=int(self.records.image_ids[index]),
            original_size=picture.size,
        )
        return to_tensor(image), target


def collate_classification(samples: list[tuple[Tensor, ClassTarget]]) -> ClassificationSamples:
    """Stack the images of a batch; targets stay a list."""
    images, targets = zip(*samples, strict=True)
    return ClassificationSamples(torch.stack(images), list(targets))
