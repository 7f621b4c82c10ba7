"""Pictures that carry boxes and masks: both move together, and batches of them have turns of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import PairedSamples, task_of
from pocketvision.datasets import (
    CocoDataModule,
    CocoSegmentationDataModule,
    JointDataModule,
    MaskFolderDataModule,
)
from pocketvision.datasets.augment.recipes import DetectionAugmentation
from pocketvision.datasets.paired import common_pictures

Tiny = Callable[[str], Path]
NAMES = ("detection/cat", "detection/owl", *(f"segmentation/{name}" for name in ("background", "cat", "owl")))


def joint(root: Path, masks: Any = None, **options: Any) -> JointDataModule:
    data = JointDataModule(
        {
            "detection": partial(CocoDataModule, root=root),
            "segmentation": masks or partial(CocoSegmentationDataModule, root=root),
        },
        **{"batch_size": 2, "num_workers": 0, **options},
    )
    data.connect(NAMES, Resize((64, 96)))
    return data


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_boxes_and_masks_stay_on_their_objects(mode: Any) -> None:
    """A bright rectangle: where it is bright there is its mask, and its box is around it."""
    rng = np.random.default_rng(0)
    augmentation = DetectionAugmentation(rotate90=True, vertical_flip=0.5, photometric=False)
    seen = set()
    for _ in range(60):
        image, mask = np.zeros((120, 90, 3), np.uint8), np.zeros((120, 90), np.uint8)
        x, y = rng.integers(5, 30), rng.integers(5, 40)
        image[y : y + 60, x : x + 40], mask[y : y + 60, x : x + 40] = 255, 1
        box = np.array([[x, y, x + 40, y + 60]], dtype=np.float32)
        resize = Resize((96, 128), mode=mode)
        shown, boxes, labels, moved = augmentation.with_mask(image, box, np.array([3]), mask, resize, rng)
        assert shown.shape == (96, 128, 3) and moved.shape == (96, 128) and labels.tolist() == [3]
        bright, is_object = shown[..., 0] > 127, moved == 1
        assert (bright & is_object).sum() >= 0.97 * (bright | is_object).sum()
        left, top, width, height = cv2.boundingRect(is_object.astype(np.uint8))
        assert np.abs(boxes[0] - (left, top, left + width, top + height)).max() <= 2
        padding = moved == 255
        assert (moved[~padding] <= 1).all() and not bright[padding].any()
        seen |= {"padded"} if padding.any() else {"filled"}
    assert seen == {"padded", "filled"}, "some are zoomed out, some cropped"


def test_batches_of_both_have_turns(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = joint(tiny("coco_outlines"), shares={"detection": 1, "segmentation": 1, "both": 2})
    turns = [task_of(batch) for batch in data.train_dataloader(max_epochs=1)]
    assert turns.count("both") == 2 * turns.count("detection") == 2 * turns.count("segmentation") > 0
    assert "both: 4 of 8 steps of an epoch" in caplog.text
    scored = [task_of(batch) for batch in data.val_dataloader()]
    assert set(scored) == {"detection", "segmentation"}


def test_they_may_have_all_turns_and_the_truth_of_each_data_set(tiny: Tiny) -> None:
    data = joint(tiny("coco_outlines"), shares={"both": 1})
    data.parts["detection"].augmentation = None
    loader = data.train_dataloader()
    boxes = data.dataset("train", train=True).parts["detection"]
    for batch in loader:
        assert isinstance(batch, PairedSamples) and batch.images.shape == (2, 3, 64, 96)
        for image, target in zip(batch.images, batch.targets, strict=True):
            index = boxes.records.image_ids.tolist().index(target.image_id)
            same, own = boxes[index]
            assert torch.equal(image, same) and torch.equal(target.boxes.boxes, own.boxes)
            for box, label in zip(own.boxes.int().tolist(), own.labels.tolist(), strict=True):
                left, top, right, bottom = box
                inside = target.mask.mask[top + 1 : bottom - 1, left + 1 : right - 1]
                assert (inside == label + 1).float().mean() > 0.9 or len(own.labels) > 1


def test_a_run_that_goes_on_sees_them_as_it_would_have(tiny: Tiny) -> None:
    loader = joint(tiny("coco_outlines"), shares={"both": 1}).train_dataloader()
    first, second = list(loader), list(loader)
    other = joint(tiny("coco_outlines"), shares={"both": 1})
    other.start_at(1, 2)
    (rest,) = other.train_dataloader()
    assert torch.equal(rest.images, second[1].images) and not torch.equal(first[1].images, rest.images)


def test_files_are_paired_by_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    first = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    second = [str(tmp_path / "link" / name) for name in ("c.jpg", "d.jpg", "a.jpg")]
    assert common_pictures(first, second).tolist() == [[0, 2], [2, 0]]


def test_what_can_not_be_both(tiny: Tiny) -> None:
    apart = joint(tiny("coco"), partial(MaskFolderDataModule, root=tiny("masks")), shares={"both": 1})
    apart.connect(("detection/cat", "segmentation/0"), Resize((64, 96)))
    with pytest.raises(InputError, match="no training image with boxes has a mask"):
        apart.train_dataloader()
    with pytest.raises(ValueError, match="for both where images carry boxes and masks"):
        JointDataModule({"detection": partial(CocoDataModule, root=tiny("coco"))}, shares={"both": 1.0})
