"""Covers datasets/samples.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, DetectionAugmentation, MaskFolderDataModule
from pocketvision.datasets.failures import FailedSamples

Coco = Callable[..., Path]


def connected(data: Any) -> Any:
    data.connect(data.class_names(), Resize((48, 48)))
    return data


def coco_module(root: Path, **options: Any) -> Any:
    return connected(CocoDataModule(root, **{"batch_size": 4, "num_workers": 0, **options}))


def test_another_sample_takes_the_place_whatever_the_number_of_workers(coco: Coco) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    runs = []
    for num_workers in (0, 1, 2):
        loader = coco_module(root, batch_size=2, num_workers=num_workers).train_dataloader()
        epochs = [list(loader) for _ in range(2)]
        assert all(len(batch.images) == 2 for batches in epochs for batch in batches)
        ids = [target.image_id for batches in epochs for batch in batches for target in batch.targets]
        assert len(ids) == 8 and set(ids) == {10, 30, 40}
        assert loader.dataset.failures.count == 1  # seen in both epochs, by any worker, counted once
        runs.append((ids, torch.cat([batch.images for batches in epochs for batch in batches])))
    for ids, images in runs[1:]:
        assert ids == runs[0][0] and torch.equal(images, runs[0][1])


def test_it_is_named_once(coco: Coco, caplog: pytest.LogCaptureFixture) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, logger="pocketvision"):
        loader = coco_module(root).train_dataloader()
        list(loader), list(loader)
    (record,) = caplog.records
    assert record.getMessage().startswith("left out, 1 of at most 1 (of 4 samples): ")
    assert "2.jpg cannot be read as an image" in record.getMessage()


def test_more_than_the_limit_end_the_training(coco: Coco) -> None:
    root = coco(lambda content: content["images"][0].update(width=61))
    (root / "train" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2 of 4 training samples .* 1 may be left out.*check-data.*jpg"):
        list(coco_module(root).train_dataloader())


def test_strict_ends_it_at_once(coco: Coco) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"^/\S*2\.jpg cannot be read as an image"):
        list(coco_module(root, strict=True).train_dataloader())


def test_evaluation_leaves_nothing_out(coco: Coco) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2\.jpg"):
        list(coco_module(root).eval_dataloader("train"))


def test_a_broken_partner_is_the_one_that_is_counted(coco: Coco) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    augmentation = DetectionAugmentation(mosaic=1.0)
    dataset = coco_module(root, augmentation=augmentation).train_dataloader().dataset
    for epoch in range(6):
        for index in (0, 1, 3):
            assert dataset[epoch, index][0].shape == (3, 48, 48)
    assert dataset.failures.is_failed.tolist() == [0, 0, 1, 0]


def test_masks_too(masks: Path) -> None:
    (masks / "train" / "masks" / "1.png").write_bytes(b"no mask")
    data = connected(MaskFolderDataModule(masks, ignore_ids=[9], batch_size=3, num_workers=0))
    (batch,) = data.train_dataloader()
    assert len(batch.images) == 3 and {target.image_id for target in batch.targets} <= {1, 3}
    with pytest.raises(InputError, match=r"1\.png cannot be read as an image"):
        list(data.eval_dataloader("train"))


@pytest.mark.parametrize(("num_samples", "limit"), [(1, 0), (2, 1), (50, 1), (199, 1), (200, 2), (5000, 50)])
def test_limit(num_samples: int, limit: int) -> None:
    assert FailedSamples(num_samples).limit == limit
    assert FailedSamples(num_samples, strict=True).limit == 0
