"""VOC's segmentation layout: palettes, void, and what is said of missing files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import (
    VOC_SEGMENTATION_NAMES,
    SegmentationDataset,
    VocSegmentationDataModule,
    read_voc_segmentation,
)

RESIZE = Resize((32, 48))
VALUES = np.resize(np.array([0, 1, 15, 20, 255], dtype=np.uint8), (40, 60))


def voc_palette() -> list[int]:
    """The colors of the devkit (VOClabelcolormap): bits 0, 1, 2 of the index go to R, G, B from the top."""
    colors = []
    for index in range(256):
        for channel in range(3):
            colors.append(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)))
    return colors


@pytest.fixture
def root(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """train b, a; val c; masks with the devkit's palette."""
    for seed, stem in enumerate("abc"):
        write_image(tmp_path / "JPEGImages" / f"{stem}.jpg", seed=seed)
        mask = Image.fromarray(VALUES).convert("P")
        mask.putdata(VALUES.flatten().tolist())
        mask.putpalette(voc_palette())
        (tmp_path / "SegmentationClass").mkdir(exist_ok=True)
        mask.save(tmp_path / "SegmentationClass" / f"{stem}.png")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("b\na\n\nb\n")
    (lists / "val.txt").write_text("c")
    return tmp_path


def test_masks_are_indices_and_not_colours(root: Path) -> None:
    file = root / "SegmentationClass" / "a.png"
    with Image.open(file) as mask:
        assert mask.mode == "P"
    assert cv2.imread(str(file))[0, 1].tolist() == [0, 0, 128], "a palette: class 1 is dark red"
    records = read_voc_segmentation(root, "train")
    _, target = SegmentationDataset(records, RESIZE)[1]
    assert (target.mask.numpy() == VALUES).all()


def test_order_names_and_ids_are_those_of_the_list(root: Path) -> None:
    records = read_voc_segmentation(root, "train")
    assert [Path(path).name for path in records.image_paths] == ["b.jpg", "a.jpg"]
    assert [Path(path).name for path in records.mask_paths] == ["b.png", "a.png"]
    assert records.image_ids.tolist() == [1, 2]
    assert records.class_names == VOC_SEGMENTATION_NAMES and len(VOC_SEGMENTATION_NAMES) == 21
    assert [VOC_SEGMENTATION_NAMES[i] for i in (0, 1, 15, 20)] == [
        "background", "aeroplane", "person", "tvmonitor",
    ]  # fmt: skip


def test_other_values_are_refused(root: Path, write_mask: Callable[..., None]) -> None:
    write_mask(root / "SegmentationClass" / "c.png", np.full((40, 60), 21, dtype=np.uint8))
    with pytest.raises(InputError, match=r"c\.png has the values 21, which are neither"):
        SegmentationDataset(read_voc_segmentation(root, "val"), RESIZE)[0]
    write_mask(root / "SegmentationClass" / "c.png", np.full((40, 60, 3), (1, 2, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"c\.png has colors"):
        SegmentationDataset(read_voc_segmentation(root, "val"), RESIZE)[0]


def test_missing_files(root: Path) -> None:
    with pytest.raises(InputError, match="no split 'trainaug': it has train, val"):
        read_voc_segmentation(root, "trainaug")
    (root / "SegmentationClass" / "a.png").unlink()
    with pytest.raises(InputError, match=r"no .*SegmentationClass/a\.png: .*line 'a' from .*train\.txt"):
        read_voc_segmentation(root, "train")
    (root / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"no .*JPEGImages/b\.jpg"):
        read_voc_segmentation(root, "train")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("\n")
    with pytest.raises(InputError, match="'val' has no images"):
        read_voc_segmentation(root, "val")
    with pytest.raises(InputError, match="no data folder"):
        read_voc_segmentation(root / "nowhere", "val")


def test_data_module(root: Path) -> None:
    data = VocSegmentationDataModule(root, batch_size=2, num_workers=0)
    assert data.class_names() == VOC_SEGMENTATION_NAMES
    data.connect(VOC_SEGMENTATION_NAMES, RESIZE)
    (batch,) = data.val_dataloader()
    assert batch.images.shape == (1, 3, 32, 48) and (batch.targets[0].mask.numpy() == VALUES).all()
