"""Coarse annotations and instance files; fine ones are in test_segmentation.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import CityscapesDataModule, read_cityscapes
from pocketvision.datasets.masks.cityscapes import instance_file


def test_coarse(tmp_path: Path, write_image: Callable[..., None], write_mask: Callable[..., None]) -> None:
    stem = "train_extra/ulm/ulm_000000_000019"
    write_image(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png")
    write_mask(tmp_path / "gtCoarse" / f"{stem}_gtCoarse_labelIds.png", np.full((40, 60), 7, dtype=np.uint8))
    records = read_cityscapes(tmp_path, "train_extra", "gtCoarse")
    assert records.mask_paths[0].endswith("gtCoarse/train_extra/ulm/ulm_000000_000019_gtCoarse_labelIds.png")
    data = CityscapesDataModule(tmp_path, annotations="gtCoarse", train_split="train_extra", num_workers=0)
    assert data.records("train_extra").mask_paths == records.mask_paths
    with pytest.raises(InputError, match=r"has no mask: add .*gtFine.*_gtFine_labelIds\.png"):
        read_cityscapes(tmp_path, "train_extra")
    with pytest.raises(ValueError, match="annotations is 'fine': choose gtFine or gtCoarse"):
        read_cityscapes(tmp_path, "train_extra", "fine")  # type: ignore[arg-type]


def test_instances(tmp_path: Path, write_mask: Callable[..., None]) -> None:
    mask = tmp_path / "ulm_000000_000019_gtFine_labelIds.png"
    with pytest.raises(InputError, match=r"no instances beside it: add .*_gtFine_instanceIds\.png"):
        instance_file(mask)
    instances = tmp_path / "ulm_000000_000019_gtFine_instanceIds.png"
    write_mask(instances, np.full((40, 60), 26001, dtype=np.uint16))
    assert instance_file(str(mask)) == str(instances)
