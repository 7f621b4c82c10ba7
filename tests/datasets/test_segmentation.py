from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import (
    CITYSCAPES_NAMES,
    SegmentationAugmentation,
    SegmentationDataset,
    collate_segmentation,
    read_cityscapes,
    read_mask_folder,
)
from pocketvision.datasets.masks.cityscapes import cityscapes_lookup

RESIZE = Resize((32, 48))
OFFICIAL = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip


def test_cityscapes_table() -> None:
    lookup = cityscapes_lookup()
    for value in range(256):
        if value in OFFICIAL:
            assert CITYSCAPES_NAMES[lookup[value]] == OFFICIAL[value]
        else:
            assert lookup[value] == (255 if value < 34 or value == 255 else 254)


def test_cityscapes_files(
    tmp_path: Path, write_image: Callable[..., None], write_mask: Callable[..., None]
) -> None:
    for city in ("ulm", "bonn"):
        stem = f"{city}/{city}_000000_000019"
        write_image(tmp_path / "leftImg8bit" / "train" / f"{stem}_leftImg8bit.png")
        mask = np.full((40, 60), 26, dtype=np.uint8)
        mask[0] = 3
        write_mask(tmp_path / "gtFine" / "train" / f"{stem}_gtFine_labelIds.png", mask)
    records = read_cityscapes(tmp_path, "train")
    assert [Path(path).parent.name for path in records.image_paths] == ["bonn", "ulm"]
    _, target = SegmentationDataset(records, RESIZE)[0]
    assert np.unique(target.mask).tolist() == [13, 255]
    with pytest.raises(InputError, match="no split 'val': it has train"):
        read_cityscapes(tmp_path, "val")
    (tmp_path / "gtFine" / "train" / "ulm" / "ulm_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(InputError, match=r"ulm.* has no mask"):
        read_cityscapes(tmp_path, "train")


@pytest.mark.parametrize("swapped", [False, True])
def test_both_layouts(masks: Path, swapped: bool) -> None:
    if swapped:
        for split in ("train", "val"):
            for kind in ("images", "masks"):
                shutil.move(masks / split / kind, masks / kind / split)
            (masks / split).rmdir()
    records = read_mask_folder(masks, "train", ignore_ids=[9])
    assert len(records) == 3 and records.class_names == ("sky", "road", "car")
    assert [Path(path).stem for path in records.image_paths] == [
        Path(path).stem for path in records.mask_paths
    ]
    with pytest.raises(InputError, match="no split 'test': it has train, val"):
        read_mask_folder(masks, "test")


def test_bad_mask_folders(masks: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.png has the values 9, .*ignore_ids"):
        SegmentationDataset(read_mask_folder(masks, "train"), RESIZE)[0]
    with pytest.raises(InputError, match="no data folder"):
        read_mask_folder(tmp_path / "nowhere", "train")
    (masks / "classes.txt").unlink()
    with pytest.raises(InputError, match=r"classes\.txt.*class_names"):
        read_mask_folder(masks, "train")
    (masks / "train" / "images" / "1.jpg").unlink()
    assert read_mask_folder(masks, "train", ["a"]).notes[0].startswith("1 of the masks have no image")
    (masks / "train" / "masks" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.jpg has no mask"):
        read_mask_folder(masks, "train", ["a"])


def test_mask_of_another_size(masks: Path, write_mask: Callable[..., None]) -> None:
    write_mask(masks / "train" / "masks" / "0.png", np.zeros((20, 30), dtype=np.uint8))
    with pytest.raises(InputError, match=r"0\.png is 30x20 pixels.*0\.jpg is 60x40"):
        SegmentationDataset(read_mask_folder(masks, "train"), RESIZE)[0]


def test_evaluation_keeps_the_original_mask(masks: Path) -> None:
    dataset = SegmentationDataset(read_mask_folder(masks, "train", ignore_ids=[9]), RESIZE)
    images, targets = collate_segmentation([dataset[0], dataset[2]])
    assert images.shape == (2, 3, 32, 48)
    assert targets[1].mask.shape == (40, 60) and targets[1].original_size == (40, 60)
    assert np.unique(targets[1].mask).tolist() == [2, 255]


@pytest.mark.parametrize("resize", [RESIZE, Resize((32, 64), mode="letterbox")])
def test_augmentation_that_changes_nothing_is_the_resize(masks: Path, resize: Resize) -> None:
    records = read_mask_folder(masks, "train", ignore_ids=[9])
    same = SegmentationAugmentation((1.0, 1.0), horizontal_flip=0, photometric=False, fill=(114,) * 3)
    image, target = SegmentationDataset(records, resize, same)[1]
    plain, original = SegmentationDataset(records, resize)[1]
    assert (image == plain).all()
    assert (target.mask.numpy() == resize.apply_to_mask(original.mask.numpy())).all()


@pytest.mark.parametrize("crop_size", [None, (24, 80)])
def test_augmented_masks_stay_classes_and_follow_their_image(crop_size: tuple[int, int] | None) -> None:
    mask = np.zeros((400, 600), dtype=np.uint8)
    mask[100:300, 200:500] = 200
    image = np.repeat(mask[..., None], 3, axis=2)
    augmentation = SegmentationAugmentation(crop_size=crop_size, photometric=False, fill=(100, 100, 100))
    padded = 0
    for seed in range(30):
        new, new_mask = augmentation(image, mask, RESIZE, np.random.default_rng(seed))
        assert new.shape[:2] == new_mask.shape == (crop_size or RESIZE.image_size)
        assert set(np.unique(new_mask)) <= {0, 200, 255}
        shown = new_mask != 255
        padded += not shown.all()
        assert (new[~shown] == 100).all()
        assert (np.abs(new[..., 0].astype(int) - new_mask)[shown] > 100).mean() < 0.08
    assert padded > 5


def test_real_data(shared_data: Path) -> None:
    names = [
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "signsymbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ]
    records = read_mask_folder(shared_data / "camvid", "val", names, [11])
    assert len(records) == 101
    _, target = SegmentationDataset(records, RESIZE)[0]
    assert set(target.mask.unique().tolist()) <= {*range(11), 255}
