"""Covers evaluation/segmentation_evaluator.py, evaluation/report/segmentation.py.

Every image has a mask of its own, and classes that a model does not know are not scored as right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import SegmentationDataset, SegmentationRecords
from pocketvision.datasets.augment.recipes import SegmentationAugmentation
from pocketvision.datasets.images.read import read_mask
from pocketvision.datasets.task_modules import SegmentationDataModule
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.evaluation.segmentation_evaluator import mask_names

SIZE = (8, 10)
NAMES = ("sky", "road", "car", "tree", "sign")


class Shade:
    """Says that every pixel of an image is of the class that its brightness is."""

    def __init__(self, class_names: Sequence[str | None]) -> None:
        self.class_names = tuple(class_names)

    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        return [
            torch.full(size, int(image[0, 0, 0]), dtype=torch.uint8)
            for image, size in zip(images, original_sizes, strict=True)
        ]


class Data(SegmentationDataModule):
    """Image i is of brightness i; its mask has class i in four fifths and class 0 in the rest."""

    def read_split(self, split: str) -> SegmentationRecords:
        root = Path(self.root)
        images, masks = [], []
        for i, name in enumerate(("x/a.png", "y/a.png", "y/a.bmp", "z/A.png", "z/b.png")):
            for folder, values in (("images", np.full((*SIZE, 3), i)), ("masks", _truth(i))):
                path = (root / folder / name).with_name(f"{name[2:]}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values.astype(np.uint8)).save(path)
            renamed = root / "images" / name
            (root / "images" / f"{name}.png").rename(renamed)
            images.append(str(renamed))
            masks.append(str(root / "masks" / f"{name}.png"))
        lookup = np.full(256, 254, np.uint8)
        lookup[: len(NAMES)] = range(len(NAMES))
        return SegmentationRecords(images, masks, np.arange(5) + 10, NAMES, lookup)


def _truth(label: int) -> np.ndarray:
    truth = np.full(SIZE, label)
    truth[:, :2] = 0
    return truth


def connected(root: Path, names: Sequence[str | None]) -> Data:
    data = Data(root, batch_size=2, num_workers=0)
    data.connect(names, Resize(SIZE))
    return data


def test_images_of_one_name_have_masks_of_their_own(tmp_path: Path) -> None:
    data = connected(tmp_path / "data", NAMES)
    evaluate(Shade(NAMES), data, "val", tmp_path / "out", torch.device("cpu"))
    files = mask_names(data.records("val").image_paths)
    assert files == ["a.png", "y_a.png", "a_2.png", "z_A.png", "b.png"]
    assert {path.name for path in (tmp_path / "out" / "masks").iterdir()} == set(files)
    for label, name in enumerate(files):
        assert np.unique(read_mask(str(tmp_path / "out" / "masks" / name))).tolist() == [label]


def test_one_class_of_five_is_not_all_right(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every pixel is taken for road: of 400, 64 are."""
    data = connected(tmp_path / "data", ("road",))

    class Road(Shade):
        def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
            return [torch.zeros(size, dtype=torch.uint8) for size in original_sizes]

    metrics = evaluate(Road(("road",)), data, "val", tmp_path / "out", torch.device("cpu"))
    assert metrics["mIoU"] == pytest.approx(64 / 400) and metrics["pixel_accuracy"] == pytest.approx(64 / 400)
    assert metrics["boundary_mIoU"] < 0.5
    assert "4 of the 5 classes of the data are not among the model's: sky, car, tree, sign." in caplog.text


def test_training_ignores_what_the_model_does_not_know(tmp_path: Path) -> None:
    records = connected(tmp_path / "data", ("road",)).records("train")
    seen = {
        bool(augmentation): {int(v) for i in range(5) for v in dataset[i][1].mask.unique()}
        for augmentation in (None, SegmentationAugmentation(crop_size=SIZE))
        for dataset in [SegmentationDataset(records, Resize(SIZE), augmentation)]
    }
    assert seen == {False: {0, 253}, True: {0, 255}}
