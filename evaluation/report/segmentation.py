"""The report's sections on a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pocketvision.core.structures import MaskTarget
from pocketvision.datasets.images.read import read_mask
from pocketvision.evaluation.originals import Samples, original_image
from pocketvision.evaluation.per_image_results import SegmentationImages
from pocketvision.evaluation.report.document import Section
from pocketvision.evaluation.report.figures import bars, confusion_picture
from pocketvision.evaluation.report.sheets import fit_tile, segmentation_sheet
from pocketvision.metrics import IoUMetric

NUM_WORST, NUM_BEST = 4, 2


def segmentation_sections(
    metric: IoUMetric,
    samples: Samples,
    metrics: dict[str, Any],
    images: SegmentationImages,
    masks: Mapping[int, Path],
) -> list[Section]:
    """Classes, confusion, and the worst and best images with the predictions in ``masks``, by image id."""
    rows = metrics["per_class"]
    sections = [Section("IoU by class", picture=bars({name: row["IoU"] for name, row in rows.items()}))]
    if any(row.get("boundary_IoU") is not None for row in rows.values()):
        text = "IoU of the pixels near the edges of the classes (arXiv:2103.16562)."
        values = {name: row["boundary_IoU"] for name, row in rows.items()}
        sections.append(Section("Boundary IoU by class", text, picture=bars(values)))
    named = [i for i, name in enumerate(metric.class_names) if name is not None]
    names = [str(metric.class_names[i]) for i in named]
    matrix = metric.confusion[np.ix_(named, named)]
    sections.append(Section("What is taken for what", picture=confusion_picture(matrix, names)))
    scores = images.image_scores()
    defined = np.flatnonzero(~np.isnan(scores))
    order = defined[np.argsort(scores[defined], kind="stable")].tolist()
    for title, chosen in (("Worst images", order[:NUM_WORST]), ("Best images", order[::-1][:NUM_BEST])):
        if chosen:
            sections.append(_photos(title, samples, images, masks, chosen))
    return sections


def _photos(
    title: str, samples: Samples, images: SegmentationImages, masks: Mapping[int, Path], chosen: list[int]
) -> Section:
    positions = {image_id: i for i, image_id in enumerate(samples.records.image_ids.tolist())}
    pictures, truths, predictions, captions = [], [], [], []
    scores = images.image_scores()
    for i in chosen:
        image_id = int(images.image_ids[i])
        position = positions[image_id]
        path = samples.records.image_paths[position]
        pictures.append(fit_tile(original_image(samples, position))[0])
        _, target = samples[position]
        assert isinstance(target, MaskTarget)
        truths.append(target.mask)
        predictions.append(torch.from_numpy(read_mask(str(masks[image_id]))))
        captions.append(f"{Path(path).name}: mean IoU {scores[i]:.3f}")
    sheet = segmentation_sheet(pictures, truths, predictions, samples.records.class_names, captions)
    return Section(title, "The mean is over the classes of the image or its prediction.", photo=sheet)
