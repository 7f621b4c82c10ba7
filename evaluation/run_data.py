"""A run's own data for its exported model: images to calibrate int8 with, and a score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.even_choice import spread
from pocketvision.datasets.joint import JointDataModule
from pocketvision.datasets.records.annotations import AnyRecords, DetectionRecords
from pocketvision.evaluation.evaluate import AnyPredictor, make_evaluator
from pocketvision.evaluation.evaluate_run import connected_data
from pocketvision.evaluation.joint_evaluator import METRICS
from pocketvision.models import VisionModel


class RunData:
    """The data that the run folder or config file ``source`` names, as ``model`` takes them.

    Raises:
        InputError: ``source`` names no data, or they can't be read.
    """

    def __init__(self, source: Path, model: VisionModel, overrides: Sequence[str] = ()) -> None:
        if source.suffix == ".safetensors":
            raise InputError(
                f"{source} does not say where its images are: give its run folder instead, or some images "
                "with --calibration FOLDER and no --max-drop."
            )
        experiment, self.data = connected_data(source, overrides, model.class_names, model.resize)
        task: Any = getattr(experiment.task, "func", experiment.task)
        self.metrics: list[str] = (
            [METRICS[part] for part in self.data.parts]
            if isinstance(self.data, JointDataModule)
            else [task.metric]
        )

    @property
    def _parts(self) -> list[Any]:
        """A data module for each task."""
        return list(self.data.parts.values()) if isinstance(self.data, JointDataModule) else [self.data]

    def look(self) -> None:
        """See that images and truth to score on are there, for every task.

        Raises:
            InputError: they are not.
        """
        for part in self._parts:
            part.dataset(part.val_split, train=False)[0]

    def calibration_images(self, num_images: int) -> Tensor:
        """Images of the training split from its beginning to its end, those without objects only where the
        others are too few: (N, 3, H, W) uint8. Of several tasks' data as many each."""
        count = -(-num_images // len(self._parts))
        return torch.cat([_calibration_images(part, count) for part in self._parts])

    def scores(self, predictor: AnyPredictor) -> dict[str, float]:
        """AP, mIoU or top-1 on the validation split, in [0, 1]; of a model of several tasks that of each."""
        evaluator = make_evaluator(predictor, self.data.records(self.data.val_split))
        loader = self.data.eval_dataloader(self.data.val_split)
        for samples in track(loader, len(loader), "scoring", "batches"):
            evaluator.update(samples)
        metrics = evaluator.compute()
        return {name: metrics[name] or 0.0 for name in self.metrics}


def _calibration_images(part: AnyData, num_images: int) -> Tensor:
    samples = part.dataset(part.train_split, train=False)
    full, empty = _with_and_without_objects(samples.records)
    chosen = [full[i] for i in spread(len(full), num_images)]
    chosen += [empty[i] for i in spread(len(empty), num_images - len(chosen))]
    return torch.stack([samples[i][0] for i in sorted(chosen)])


def _with_and_without_objects(records: AnyRecords) -> tuple[list[int], list[int]]:
    """Images that have boxes, and those that have none; where there are no boxes all have something."""
    if not isinstance(records, DetectionRecords):
        return list(range(len(records))), []
    has_boxes = np.diff(records.offsets) > 0
    return np.flatnonzero(has_boxes).tolist(), np.flatnonzero(~has_boxes).tolist()
