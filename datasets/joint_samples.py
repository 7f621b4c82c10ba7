"""The samples of several data sets, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pocketvision.core.errors import InputError
from pocketvision.core.structures import (
    AnyTarget,
    BoxTarget,
    MaskTarget,
    MixedTaskSamples,
    PairedTarget,
    TrainingSamples,
    task_of_target,
)
from pocketvision.datasets.classification import collate_classification
from pocketvision.datasets.detection import collate_detection
from pocketvision.datasets.paired import collate_paired
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.segmentation import collate_segmentation
from pocketvision.datasets.turns import JointIndex

SampleList = list[tuple[Tensor, AnyTarget | PairedTarget]]
"""Images and their truth, not stacked yet."""


class JointDataset(Dataset[SampleList]):
    """The samples of several data sets; index it with a batch."""

    def __init__(self, parts: Mapping[str, SampleDataset[Any, Any, Any]]) -> None:
        self.parts = dict(parts)
        self._numbered = list(self.parts.values())

    def __len__(self) -> int:
        return sum(map(len, self._numbered))

    def whole(self) -> JointDataset:
        """Those of the whole pictures, as each part has them."""
        return JointDataset({task: part.whole() for task, part in self.parts.items()})

    def __getitem__(self, batch: Sequence[JointIndex]) -> SampleList:
        samples: list[Any] = []
        for number, *index in batch:
            key: Any = tuple(index) if len(index) > 1 else index[0]
            samples.append(self._numbered[number][key])
        return samples


def collate_joint(samples: SampleList) -> TrainingSamples:
    """The batch of one task, of boxes and masks, or of several tasks that they are.

    Raises:
        InputError: images of several tasks have different sizes.
    """
    target: Any = samples[0][1]
    any_samples: Any = samples
    if len({type(target) for _, target in samples}) > 1:
        return _collate_mixed(any_samples)
    if isinstance(target, BoxTarget):
        return collate_detection(any_samples)
    if isinstance(target, MaskTarget):
        return collate_segmentation(any_samples)
    if isinstance(target, PairedTarget):
        return collate_paired(any_samples)
    return collate_classification(any_samples)


def _collate_mixed(samples: list[tuple[Tensor, AnyTarget]]) -> MixedTaskSamples:
    sizes = {tuple(image.shape[1:]): task_of_target(target) for image, target in samples}
    if len(sizes) > 1:
        said = " and ".join(f"those for {task} have {h}x{w}" for (h, w), task in sizes.items())
        raise InputError(
            f"data.mixed stacks training images of one size, and {said} pixels: let "
            "data.parts.segmentation.augmentation.crop_size be the model's image_size."
        )
    images, targets = zip(*samples, strict=True)
    return MixedTaskSamples(torch.stack(images), list(targets))
