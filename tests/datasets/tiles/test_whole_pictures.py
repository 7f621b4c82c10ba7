"""Covers evaluation/tile_parts.py, runs/build.py.

Whole pictures are scored from their tiles, in pixels of the pictures, as ``predict`` finds them. The model is
one that finds bright rectangles exactly, so that every box that is wrong is the tiles' fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pocketvision.core.resize import Resize, Tiling
from pocketvision.core.structures import DetectionBatch, Detections, Size, stack_detections
from pocketvision.datasets import CocoDataModule, MaskFolderDataModule
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.evaluation.evaluate import make_evaluator as make

Large = Callable[..., Path]


class FindsRectangles:
    """A detector of bright rectangles in tiles of 100 x 100, each with a score by its size."""

    class_names = ("car",)

    def predict(self, images: Tensor) -> DetectionBatch:
        return stack_detections([self._find(image.permute(1, 2, 0).numpy()) for image in images])

    def restore(self, detections: DetectionBatch, original_sizes: Sequence[Size]) -> list[Detections]:
        resize = Resize((100, 100))
        return [resize.restore(d, s) for d, s in zip(detections.unpad(), original_sizes, strict=True)]

    def _find(self, image: Any) -> Detections:
        count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
        boxes = np.array(
            [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]], dtype=np.float32
        ).reshape(-1, 4)
        scores = 0.5 + torch.linspace(0, 0.4, len(boxes))
        return Detections(torch.from_numpy(boxes), scores, torch.zeros(len(boxes), dtype=torch.int64))


def apart(rng: np.random.Generator, size: Size, count: int, longest: int) -> list[tuple[int, int, int, int]]:
    """Boxes that leave two pixels between each other."""
    taken, boxes = np.zeros(size, bool), []
    while len(boxes) < count:
        height, width = rng.integers(6, longest, 2)
        top, left = (
            int(rng.integers(0, side - length)) for side, length in zip(size, (height, width), strict=True)
        )
        place = np.s_[max(0, top - 2) : top + height + 2, max(0, left - 2) : left + width + 2]
        if not taken[place].any():
            taken[top : top + height, left : left + width] = True
            boxes.append((left, top, int(left + width), int(top + height)))
    return boxes


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_objects_on_borders_are_found_once(overlap: float, large: Large) -> None:
    rng = np.random.default_rng(0)
    longest = 40 if overlap else 20
    pictures = [(size, apart(rng, size, 12, longest)) for size in ((230, 370), (100, 400), (90, 80))]
    root = large(*pictures)
    data = CocoDataModule(root, batch_size=4, num_workers=0, tile_size=100, tile_overlap=overlap)
    data.connect(["car"], Resize((100, 100)))
    evaluator: Any = make(FindsRectangles(), data.records("val"))
    for samples in data.eval_dataloader("val"):
        evaluator.update(samples)
    evaluator.compute()
    found, ids = evaluator.metric.found, evaluator.metric.image_ids
    for number, (_, boxes) in enumerate(pictures):
        own = found.boxes[found.images == ids.index(10 + number)]
        got = np.concatenate((own[:, :2], own[:, :2] + own[:, 2:]), axis=1)
        for box in boxes:
            near = np.abs(got - box).max(axis=1)
            if overlap == 0.5:  # more than the longest object: some tile shows each as a whole
                assert (near <= 2).sum() == 1
        if overlap == 0.5:
            assert len(got) == len(boxes)
        touching = [box for box in got.tolist() if not any(_overlaps(box, true) for true in boxes)]
        assert not touching, "nothing is found where nothing is"
    assert evaluator.metric.compute()["num_images"] == 3


def _overlaps(one: Sequence[float], other: Sequence[float]) -> bool:
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) > max(one[1], other[1])


def test_scores_and_pictures_of_a_folder(large: Large, tmp_path: Path) -> None:
    root = large(((160, 360), [(10, 10, 30, 26), (90, 40, 110, 56)]), ((90, 80), [(5, 5, 25, 25)]))
    data = CocoDataModule(root, batch_size=3, num_workers=0, tile_size=(100, 100), tile_overlap=0.3)
    data.connect(["car"], Resize((100, 100)))
    metrics = evaluate(FindsRectangles(), data, "val", tmp_path / "out", torch.device("cpu"))
    assert metrics["AP"] == pytest.approx(1.0) and metrics["num_images"] == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.html", "predictions.png"}


class FindsBright:
    """A segmenter: class 1 where it is bright."""

    class_names = ("dark", "bright")

    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        return [
            torch.from_numpy(
                cv2.resize((image[0].numpy() > 127).astype(np.uint8), size[::-1], interpolation=0)
            )
            for image, size in zip(images, original_sizes, strict=True)
        ]


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """A folder of pictures and masks of which every pixel counts."""
    rng = np.random.default_rng(0)
    for number, size in enumerate(((130, 250), (64, 64), (70, 64))):
        truth = rng.integers(0, 2, size, dtype=np.uint8)
        for kind, pixels in (("images", truth * 255), ("masks", truth)):
            for split in ("train", "val"):
                (tmp_path / "bright" / split / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(tmp_path / "bright" / split / kind / f"{number}.png"), pixels)
    return tmp_path / "bright"


def test_masks_are_put_together_pixel_by_pixel(bright: Path, tmp_path: Path) -> None:
    data = MaskFolderDataModule(
        bright, class_names=["dark", "bright"], binary=False, batch_size=4, num_workers=0, tile_size=64,
        tile_overlap=0.3,
    )  # fmt: skip
    data.connect(["dark", "bright"], Resize((64, 64)))
    metrics = evaluate(FindsBright(), data, "val", tmp_path / "out", torch.device("cpu"))
    assert metrics["mIoU"] == pytest.approx(1.0) and metrics["num_images"] == 3
    drawn = cv2.imread(str(tmp_path / "out" / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert drawn.shape[:2] == (130, 250)
    data = MaskFolderDataModule(
        bright, class_names=["dark", "bright"], binary=False, batch_size=2, num_workers=0, tile_size=64
    )
    data.connect(["dark", "bright"], Resize((64, 64)))
    for samples in data.train_dataloader():
        assert samples.images.shape == (2, 3, 64, 64)
        for target in samples.targets:
            assert set(np.unique(target.mask)) <= {0, 1, 255}


def test_a_model_knows_its_tiles() -> None:
    data = CocoDataModule("nowhere", num_workers=0)
    data.connect(["car"], Resize((100, 100), tiling=Tiling((80, 90))))
    assert data.tiling == Tiling((80, 90)), "what an exported file says"
    own = CocoDataModule("nowhere", num_workers=0, tile_size=64)
    own.connect(["car"], Resize((100, 100), tiling=Tiling((80, 90))))
    assert own.tiling == Tiling((64, 64)), "what is asked for"
