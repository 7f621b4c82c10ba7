"""What a teacher says of pictures without labels, as labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress
from pocketvision.core.structures import BoxTarget, Detections
from pocketvision.datasets.detection import DetectionDataset
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.datasets.records.splits import take
from pocketvision.datasets.task_modules import DetectionDataModule
from pocketvision.evaluation.detection_evaluator import DetectionEvaluator
from pocketvision.models import Detector
from pocketvision.tasks.unlabelled.thresholds import ClassScores, LabelThresholds, label_thresholds

logger = logging.getLogger("pocketvision")
_THREADS = 4
_MIN_SIDE = 1.0


class PseudoLabels(NamedTuple):
    """Pictures with their labels, boxes that are left open being crowd, and how they were chosen."""

    records: DetectionRecords
    thresholds: dict[str, LabelThresholds]
    num_without: int

    @property
    def num_sure(self) -> int:
        """Boxes that are labels."""
        return int((~self.records.crowd).sum())


def make_labels(
    model: Detector, data: DetectionDataModule, pictures: DetectionRecords, device: torch.device
) -> PseudoLabels:
    """Label ``pictures`` with ``model``, by thresholds from the validation split of ``data``.

    A picture without a sure box is left out: it may be full of what the teacher doesn't know.
    """
    model.to(device).to(memory_format=torch.channels_last).eval()
    evaluator = DetectionEvaluator(model, data.records(data.val_split))
    for samples in data.eval_dataloader(data.val_split):
        evaluator.update(samples._replace(images=samples.images.to(device)))
    pictures, found = predictions(model, pictures, data.batch_size, device)
    train = data.records(data.train_split)
    names = {label: name for label, name in enumerate(model.class_names) if name is not None}
    thresholds = label_thresholds(
        evaluator.metric.matches, evaluator.metric.class_names, _scores_of(found, names),
        _expected(train, names, len(pictures)),
    )  # fmt: skip
    return chosen_labels(pictures, found, names, thresholds)


def predictions(
    model: Detector, pictures: DetectionRecords, batch_size: int, device: torch.device
) -> tuple[DetectionRecords, list[Detections]]:
    """What ``model`` finds, in pixels of the pictures; those that can't be read are told and left out."""
    samples = DetectionDataset(pictures, model.resize)
    kept: list[int] = []
    found: list[Detections] = []

    def load(index: int) -> tuple[Tensor, BoxTarget] | str:
        try:
            return samples[index]
        except InputError as error:
            return str(error)

    with Progress("label", len(pictures), "images") as progress, ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(pictures), batch_size):
            indices = range(start, min(start + batch_size, len(pictures)))
            loaded = dict(zip(indices, pool.map(load, indices), strict=True))
            good = {index: sample for index, sample in loaded.items() if not isinstance(sample, str)}
            for sentence in (sample for sample in loaded.values() if isinstance(sample, str)):
                progress.say(f"skipped: {sentence}")
            if good:
                found += _predict(model, list(good.values()), device)
                kept += good
            progress.advance(len(indices))
    return take(pictures, kept), found


def _predict(
    model: Detector, samples: Sequence[tuple[Tensor, BoxTarget]], device: torch.device
) -> list[Detections]:
    images = torch.stack([image for image, _ in samples]).to(device, memory_format=torch.channels_last)
    batch = model.predict(images)
    restored = model.restore(batch, [target.original_size for _, target in samples])
    return [Detections(*(value.cpu() for value in one)) for one in restored]


def _scores_of(found: Sequence[Detections], names: Mapping[int, str]) -> dict[str, ClassScores]:
    scores = torch.cat([one.scores for one in found]).double().numpy()
    labels = torch.cat([one.labels for one in found]).numpy()
    return {name: scores[labels == label] for label, name in names.items()}


def _expected(train: DetectionRecords, names: Mapping[int, str], num_pictures: int) -> dict[str, float]:
    """Boxes of each class in as many pictures as are unlabeled, if they are like those of ``train``."""
    counts = np.bincount(train.labels[~train.crowd], minlength=len(train.class_names))
    return {name: counts[label] * num_pictures / len(train) for label, name in names.items()}


def chosen_labels(
    pictures: DetectionRecords, found: Sequence[Detections], names: Mapping[int, str],
    thresholds: Mapping[str, LabelThresholds],
) -> PseudoLabels:  # fmt: skip
    """The boxes that are sure or open, of pictures that have a sure one."""
    size = max(names, default=-1) + 1
    limits = np.full((2, size), np.inf)
    for label, name in names.items():
        limits[:, label] = thresholds[name].sure, thresholds[name].unsure
    owners = np.repeat(np.arange(len(found)), [len(one.scores) for one in found])
    boxes = torch.cat([one.boxes for one in found]).float().numpy()
    labels = torch.cat([one.labels for one in found]).long().numpy()
    scores = torch.cat([one.scores for one in found]).double().numpy()
    is_box = ((boxes[:, 2:] - boxes[:, :2]) >= _MIN_SIDE).all(axis=1)
    is_sure = is_box & (scores >= limits[0, labels])
    kept = is_box & (scores >= limits[1, labels])
    counts = np.bincount(owners[kept], minlength=len(pictures))
    sides = boxes[kept, 2:] - boxes[kept, :2]
    every = replace(
        pictures,
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        boxes=boxes[kept],
        labels=labels[kept],
        crowd=~is_sure[kept],
        areas=sides.astype(np.float64).prod(axis=1),
        difficult=None,
        rows=None,
    )
    with_sure = np.unique(owners[is_sure])
    return PseudoLabels(take(every, with_sure), dict(thresholds), len(pictures) - len(with_sure))
