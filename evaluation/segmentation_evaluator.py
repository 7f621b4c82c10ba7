"""Evaluation of a segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor

from pocketvision.core.drawing import palette_for
from pocketvision.core.files import replacing, unique_names, write_json
from pocketvision.core.resize import Image
from pocketvision.core.structures import SegmentationSamples, Size
from pocketvision.datasets.even_choice import first_to_last
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.evaluation.cityscapes_results import CityscapesResults, is_cityscapes
from pocketvision.evaluation.originals import Samples
from pocketvision.evaluation.per_image_results import SegmentationImages
from pocketvision.evaluation.report.document import Section
from pocketvision.evaluation.report.segmentation import segmentation_sections
from pocketvision.evaluation.report.sheets import NUM_PICTURES, segmentation_sheet
from pocketvision.evaluation.tile_parts import TileLabelMaps
from pocketvision.metrics import BoundaryIoUMetric, IoUMetric
from pocketvision.metrics.bootstrap import Interval, intervals
from pocketvision.metrics.iou import ResampledIoU

CITYSCAPES_BOUNDARY = 0.005
"""Share of the diagonal for boundary IoU that its authors take for Cityscapes."""


class SegmentationPredictor(Protocol):
    """Images (N, 3, H, W) uint8 -> label maps (H, W) uint8 of the original sizes."""

    class_names: tuple[str | None, ...]

    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]: ...


class SegmentationEvaluator:
    """Scores a segmenter with IoU at the original size of each image.

    With a folder also with boundary IoU and, on Cityscapes, with everything that its server computes.
    """

    def __init__(
        self, model: SegmentationPredictor, records: SegmentationRecords, folder: Path | None = None
    ) -> None:
        self.model, self.records, self.folder = model, records, folder
        self.metric = IoUMetric(model.class_names)
        ids = records.image_ids.tolist()
        self.paths = dict(zip(ids, records.image_paths, strict=True))
        self.masks = dict(zip(ids, mask_names(records.image_paths), strict=True))
        # The first ones of a video would show one scene.
        self.picked = set(records.image_ids[first_to_last(len(records), NUM_PICTURES)].tolist())
        self.shown: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._maps, self._truths = TileLabelMaps(), TileLabelMaps()
        self.boundary: BoundaryIoUMetric | None = None
        self.cityscapes: CityscapesResults | None = None
        if folder is not None:
            if is_cityscapes(records):
                self.boundary = BoundaryIoUMetric(model.class_names, CITYSCAPES_BOUNDARY)
                self.cityscapes = CityscapesResults(records, folder / "submission")
            else:
                self.boundary = BoundaryIoUMetric(model.class_names)

    def update(self, samples: SegmentationSamples) -> None:
        """Predict a batch, add it, and write its masks where a folder is set.

        Of tiles a picture counts with its last one, which the picture of predictions shows.
        """
        images = samples.images.to(memory_format=torch.channels_last)
        label_maps = self.model.predict(images, [target.original_size for target in samples.targets])
        for target, image, label_map in zip(samples.targets, samples.images, label_maps, strict=True):
            prediction, truth = label_map.cpu(), target.mask.cpu()
            if target.image_id in self.picked:
                self.shown[target.image_id] = image.cpu(), truth, prediction
            if target.tile is not None:
                merged, true = self._maps.add(target.tile, prediction), self._truths.add(target.tile, truth)
                if merged is None or true is None:
                    continue
                prediction, truth = merged, true
            self.metric.update(prediction, truth, target.image_id)
            if self.folder is not None:
                self._look_deeper(target.image_id, prediction, truth)

    def compute(self) -> dict[str, Any]:
        """mIoU and, with a folder, boundary_mIoU; on Cityscapes also the means of categories and instances.

        A class that is nowhere is None and left out of every mean.
        """
        metrics = self.metric.compute()
        if self.boundary is not None:
            boundary = self.boundary.compute()
            metrics["boundary_mIoU"] = boundary["boundary_mIoU"]
            for name, row in boundary["per_class"].items():
                metrics["per_class"][name] |= row
        if self.cityscapes is not None:
            self.cityscapes.add_to(metrics)
        return metrics

    def intervals(self) -> dict[str, Interval]:
        return intervals(ResampledIoU(self.metric.per_image()[1], self.metric.class_names))

    def write(self) -> None:
        """Write images.npz for comparisons and analysis.json; masks are written as they are predicted."""
        assert self.folder is not None
        self.images.write(self.folder)
        names = [str(name) for name in self.metric.class_names]
        matrix = {"names": [*names, "no class"], "pixels": self.metric.confusion.tolist()}
        write_json(self.folder / "analysis.json", {"confusion": matrix})

    @property
    def images(self) -> SegmentationImages:
        """Counts of every image, without reserved slots."""
        ids, counts = self.metric.per_image()
        named = [i for i, name in enumerate(self.metric.class_names) if name is not None]
        return SegmentationImages(
            ids,
            np.array([Path(self.paths[i]).name for i in ids.tolist()]),
            np.array([str(self.metric.class_names[i]) for i in named]),
            counts[:, named],
        )

    def sheet(self) -> Image:
        images, masks, predictions = zip(*self.shown.values(), strict=True)
        return segmentation_sheet(torch.stack(images), masks, predictions, self.model.class_names)

    def sections(self, metrics: dict[str, Any], samples: Samples) -> list[Section]:
        """Classes, confusion, and the worst and best images."""
        assert self.folder is not None
        files = {image_id: self.folder / "masks" / name for image_id, name in self.masks.items()}
        return segmentation_sections(self.metric, samples, metrics, self.images, files)

    def _look_deeper(self, image_id: int, prediction: Tensor, truth: Tensor) -> None:
        assert self.boundary is not None
        self.boundary.update(prediction, truth)
        self._write_mask(image_id, prediction)
        if self.cityscapes is not None:
            self.cityscapes.update(image_id, prediction.numpy())

    def _write_mask(self, image_id: int, prediction: Tensor) -> None:
        """A PNG of class indices with a palette, so that it opens colored everywhere."""
        assert self.folder is not None
        picture = PILImage.fromarray(prediction.numpy(), mode="P")
        palette = np.array(palette_for(self.model.class_names), dtype=np.uint8)
        picture.putpalette(palette.flatten().tolist())
        with replacing(self.folder / "masks" / self.masks[image_id]) as temporary:
            picture.save(temporary, format="PNG")


def mask_names(image_paths: Sequence[str]) -> list[str]:
    """File names of the predicted masks of images: as the images, and no two the same."""
    paths = map(Path, image_paths)
    return [f"{name}.png" for name in unique_names((path.stem, path.parent.name) for path in paths)]
