"""Covers datasets/joint.py, datasets/joint_samples.py.

Data sets of two tasks as one: a batch is of one of them, with its own augmentation, classes and splits.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import MixedTaskSamples, task_of, task_of_target
from pocketvision.datasets import (
    CocoDataModule,
    JointDataModule,
    MaskFolderDataModule,
    SegmentationAugmentation,
)
from pocketvision.datasets.joint import JointRecords
from pocketvision.datasets.joint_samples import collate_joint

Tiny = Callable[[str], Path]
MAP = ("sky", "road", "car")
NAMES = ("detection/owl", "detection/cat", "segmentation/sky", "segmentation/road", "segmentation/car")


def joint(tiny: Tiny, crop_size: tuple[int, int] = (32, 32), **options: Any) -> JointDataModule:
    crops = SegmentationAugmentation(crop_size=crop_size)
    masks = partial(
        MaskFolderDataModule, root=tiny("masks"), class_names=MAP, ignore_ids=range(3, 12), augmentation=crops
    )
    return JointDataModule(
        {"detection": partial(CocoDataModule, root=tiny("coco")), "segmentation": masks},
        **{"batch_size": 2, "num_workers": 0, **options},
    )


def connected(data: JointDataModule) -> JointDataModule:
    data.connect(NAMES, Resize((64, 96)))
    return data


def ids(loader: Any) -> list[tuple[str, list[int]]]:
    return [(task_of(batch), [target.image_id for target in batch.targets]) for batch in loader]


def test_batches_are_of_one_task_and_in_turn(tiny: Tiny) -> None:
    data = connected(joint(tiny))
    loader = data.train_dataloader()
    assert [task for task, _ in ids(loader)] == ["detection", "segmentation"] * 2 and len(loader) == 4
    sizes = {task_of(batch): tuple(batch.images.shape[2:]) for batch in loader}
    assert sizes == {"detection": (64, 96), "segmentation": (32, 32)}  # whole pictures, crops


def test_classes_are_each_tasks_own(tiny: Tiny) -> None:
    data = joint(tiny)
    assert data.class_names()[:2] == ("detection/cat", "detection/owl")
    records = connected(data).records("val")
    assert isinstance(records, JointRecords) and records.class_names == NAMES
    assert records.parts["detection"].class_names == ("owl", "cat")
    assert len(records) == 8 and len(records.image_paths) == 8
    with pytest.raises(ValueError, match="give both the same tasks"):
        data.connect(NAMES[:2], Resize((64, 96)))


def test_shares_and_accumulated_batches(tiny: Tiny) -> None:
    data = connected(joint(tiny, shares={"detection": 3, "segmentation": 1}, batch_size=1))
    tasks = [task for task, _ in ids(data.train_dataloader(accumulated=2))]
    assert tasks.count("detection") == 3 * tasks.count("segmentation") == 6
    assert all(len(found) == 2 for _, found in ids(data.train_dataloader(accumulated=2)))


@pytest.mark.parametrize("shares", [{"detection": 1.0}, {"detection": 1.0, "segmentation": 0.0}])
def test_shares_of_other_tasks(tiny: Tiny, shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0 for each of detection, segmentation"):
        joint(tiny, shares=shares)


def test_a_run_that_goes_on_sees_what_it_would_have_seen(tiny: Tiny) -> None:
    loader = connected(joint(tiny)).train_dataloader()
    first, second = list(loader), list(loader)
    other = connected(joint(tiny))
    other.start_at(1, 3 * 2)
    rest = list(other.train_dataloader())
    assert ids(rest) == ids(second)[3:] and ids(first) != ids(second)
    for batch, expected in zip(rest, second[3:], strict=True):
        assert torch.equal(batch.images, expected.images)


def test_scoring_sees_every_image_of_every_task_once(tiny: Tiny) -> None:
    data = connected(joint(tiny, eval_batch_size=3))
    for loader in (data.val_dataloader(), data.eval_dataloader("val")):
        found = ids(loader)
        assert [task for task, _ in found] == ["detection"] * 2 + ["segmentation"] * 2
        assert sorted(i for task, some in found if task == "detection" for i in some) == [10, 20, 30, 40]


def test_it_can_be_sent_to_a_bare_process(tiny: Tiny) -> None:
    """Nothing that a worker gets is a function of a config file."""
    data = connected(joint(tiny))
    dataset = data.dataset("train", train=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        samples = pool.apply(dataset.__getitem__, ([(1, 0, 2), (1, 0, 3)],))
    own = collate_joint(dataset[[(1, 0, 2), (1, 0, 3)]])
    assert torch.equal(collate_joint(samples).images, own.images)


def test_tiles_are_refused(tiny: Tiny) -> None:
    part = partial(CocoDataModule, root=tiny("coco"), tile_size=64)
    with pytest.raises(ValueError, match=r"leave data.parts.detection.tile_size out"):
        JointDataModule({"detection": part}, num_workers=0)


def test_two_processes_share_the_turns_and_the_images(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ids(connected(joint(tiny, batch_size=4)).train_dataloader())
    monkeypatch.setattr("pocketvision.datasets.sampling.num_processes", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("pocketvision.datasets.sampling.process_index", lambda rank=rank: rank)
        shares.append(ids(connected(joint(tiny)).train_dataloader()))
    for (task, images), (first, own), (second, others) in zip(whole, *shares, strict=True):
        assert task == first == second and sorted(images) == sorted(own + others)


@pytest.mark.parametrize(("shares", "batch_size", "accumulated"), [((3, 1), 4, 1), ((1, 1), 2, 2)])
def test_a_mixed_batch_has_images_of_every_task(
    tiny: Tiny, shares: tuple[int, int], batch_size: int, accumulated: int
) -> None:
    given = dict(zip(("detection", "segmentation"), shares, strict=True))
    data = connected(joint(tiny, crop_size=(64, 96), mixed=True, batch_size=batch_size, shares=given))
    for batch in data.train_dataloader(accumulated):
        assert isinstance(batch, MixedTaskSamples) and task_of(batch) == "mixed"
        of_part = ["detection"] * shares[0] + ["segmentation"] * shares[1]
        assert [task_of_target(target) for target in batch.targets] == of_part * accumulated
        assert batch.images.shape == (4, 3, 64, 96)


def test_mixed_batches_go_on_where_they_were(tiny: Tiny) -> None:
    options: Any = {"crop_size": (64, 96), "mixed": True}
    loader = connected(joint(tiny, **options)).train_dataloader()
    first, second = ids(loader), ids(loader)
    other = connected(joint(tiny, **options))
    other.start_at(1, 2 * 2)
    assert ids(other.train_dataloader()) == second[2:] and first != second


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_mixed_batch_is_of_one_size(tiny: Tiny, num_workers: int) -> None:
    data = connected(joint(tiny, mixed=True, num_workers=num_workers))
    with pytest.raises(
        InputError, match=r"detection have 64x96 and those for segmentation have 32x32.*crop_size"
    ):
        list(data.train_dataloader())


def test_what_can_not_be_mixed(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"leave both out, as with data.shares=None"):
        joint(tiny, mixed=True, shares={"both": 1.0})
    with pytest.raises(ValueError, match=r"a share of 0.1 is no image"):
        joint(tiny, mixed=True, shares={"detection": 9, "segmentation": 1})
    data = connected(joint(tiny, mixed=True, batch_size=64))
    with pytest.raises(
        InputError, match=r"32 training images for detection, and there are 4 in each process"
    ):
        data.train_dataloader()


@pytest.mark.parametrize(
    ("shares", "batch_size", "factor", "expected"),
    [
        ((1, 1), 4, 2, True),
        ((3, 1), 4, 2, False),
        ((1, 1), 6, 2, False),
        ((3, 1), 8, 2, True),
        ((1, 1), 3, 3, False),
    ],
)
def test_a_mixed_batch_goes_through_in_parts_of_the_same_shares(
    tiny: Tiny, shares: tuple[int, int], batch_size: int, factor: int, expected: bool
) -> None:
    given = dict(zip(("detection", "segmentation"), shares, strict=True))
    assert joint(tiny, mixed=True, batch_size=batch_size, shares=given).divides(factor) == expected
    assert joint(tiny, batch_size=batch_size, shares=given).divides(factor)
