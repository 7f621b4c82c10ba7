"""Covers datasets/__init__.py, datasets/base_modules.py, datasets/data_module.py,
datasets/format_modules.py, datasets/loading.py, datasets/task_modules.py."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.core.config import parameters
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import (
    CocoDataModule,
    EpochSampler,
    MaskFolderDataModule,
    SegmentationAugmentation,
    SegmentationDataModule,
    ShapesDetectionDataModule,
    VocDataModule,
)
from pocketvision.datasets.format_modules import SegmentationOptions

Coco = Callable[..., Path]
RESIZE = Resize((64, 64))


def connected(data: Any, names: Any = None) -> Any:
    data.connect(class_names=names or data.class_names(), resize=RESIZE)
    return data


def epochs(data: Any, count: int = 2) -> list[tuple[list[int], torch.Tensor]]:
    loader = data.train_dataloader()
    result = []
    for _ in range(count):
        batches = list(loader)
        ids = [target.image_id for batch in batches for target in batch.targets]
        result.append((ids, torch.cat([batch.images for batch in batches])))
    return result


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")
def test_an_epoch_does_not_depend_on_the_workers(coco: Coco) -> None:
    root = coco()
    runs = [epochs(connected(CocoDataModule(root, batch_size=2, num_workers=n, seed=5))) for n in (0, 1, 3)]
    for run in runs[1:]:
        for (ids, images), (first_ids, first_images) in zip(run, runs[0], strict=True):
            assert ids == first_ids and torch.equal(images, first_images)
    (ids, images), (next_ids, next_images) = runs[0]
    assert sorted(ids) == sorted(next_ids) == [10, 20, 30, 40]
    assert not torch.equal(images, next_images)


def test_sampler_takes_up_an_epoch_again(coco: Coco) -> None:
    sampler = EpochSampler(range(50), seed=1)  # type: ignore[arg-type]
    orders = [list(sampler) for _ in range(3)]
    assert [order[0][0] for order in orders] == [0, 1, 2]
    assert sorted(index for _, index in orders[1]) == list(range(50)) and orders[0] != orders[1]
    again = EpochSampler(range(50), seed=1)  # type: ignore[arg-type]
    again.set_epoch(2)
    assert list(again) == orders[2]


def test_resumed_run_goes_on_with_its_epoch(coco: Coco) -> None:
    data = connected(CocoDataModule(coco(), batch_size=2, num_workers=0))
    third = epochs(data, 3)[2]
    data.start_at(2, 0)
    ids, images = epochs(data, 1)[0]
    assert ids == third[0] and torch.equal(images, third[1])


def test_works_in_a_bare_child_process(coco: Coco, masks: Path) -> None:
    for data in (
        CocoDataModule(coco(), batch_size=2, num_workers=0),
        MaskFolderDataModule(masks, ignore_ids=[9], batch_size=2, num_workers=0),
    ):
        loader = connected(data).train_dataloader()
        pickled = pickle.dumps((loader.dataset, loader.collate_fn, loader.worker_init_fn))
        code = (
            "import pickle, sys; d, c, w = pickle.load(sys.stdin.buffer); w(0);"
            "c([d[0, 0], d[0, 1]]); assert 'lightning' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], input=pickled, check=True, timeout=120)


def test_readers_do_not_import_lightning_or_albumentations() -> None:
    code = (
        "import sys, pocketvision.datasets as d; d.read_coco; "
        "assert not {'lightning', 'albumentations', 'torchvision', 'pycocotools'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_notes_are_logged_once(coco: Coco, caplog: pytest.LogCaptureFixture) -> None:
    data = connected(CocoDataModule(coco(), batch_size=2, num_workers=0), ["cat", "dog"])
    with caplog.at_level(logging.WARNING, logger="pocketvision"):
        data.records("train")
        data.train_dataloader()
        assert data.records("train") is data.records("train")
    assert len(caplog.records) == 1 and "owl" in caplog.text


def test_unknown_voc_object(voc: Path) -> None:
    data = connected(VocDataModule(voc, batch_size=1, num_workers=0), ["dog", "owl"])
    with pytest.raises(InputError, match=r"cat \(first: .*a\.jpg"):
        data.train_dataloader()
    data = connected(VocDataModule(voc, num_workers=0), ["owl"])
    assert len(next(iter(data.val_dataloader())).targets[0].boxes) == 1


def test_class_names_without_a_training_split(coco: Coco, tmp_path: Path) -> None:
    root = coco(split="val")
    assert CocoDataModule(root).class_names() == ("dog", "cat", "owl")
    with pytest.raises(InputError, match="no split 'train': it has val"):
        CocoDataModule(root, val_split="other").class_names()


def test_drop_last_only_with_a_full_batch(coco: Coco) -> None:
    root = coco()
    for batch_size, sizes in ((3, [3]), (4, [4]), (9, [4])):
        data = connected(CocoDataModule(root, batch_size=batch_size, num_workers=0))
        assert [len(batch.images) for batch in data.train_dataloader()] == sizes
    data = connected(CocoDataModule(root, batch_size=9, eval_batch_size=3, num_workers=0))
    assert [len(batch.images) for batch in data.eval_dataloader("train")] == [3, 1]


def test_mask_folder(masks: Path) -> None:
    data = connected(MaskFolderDataModule(masks, ignore_ids=[9], batch_size=2, num_workers=0))
    assert data.class_names() == ("sky", "road", "car")
    batch = next(iter(data.train_dataloader()))
    assert all(target.mask.shape == (64, 64) for target in batch.targets)
    assert next(iter(data.val_dataloader())).targets[0].mask.shape == (40, 60)
    plain = connected(MaskFolderDataModule(masks, None, [9], batch_size=2, augmentation=None, num_workers=0))
    assert next(iter(plain.train_dataloader())).targets[0].mask.shape == (64, 64)


def test_mask_folder_names_from_the_model(masks: Path) -> None:
    (masks / "classes.txt").unlink()
    data = MaskFolderDataModule(masks, ignore_ids=[9], num_workers=0)
    with pytest.raises(InputError, match=r"classes\.txt"):
        data.class_names()
    data.connect(["a", "b", "c"], RESIZE)
    assert data.records("val").class_names == ("a", "b", "c")


def test_error_in_a_worker_is_one_sentence(coco: Coco) -> None:
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"")
    data = connected(CocoDataModule(root, batch_size=4, num_workers=1, strict=True))
    with pytest.raises(InputError) as error:
        list(data.train_dataloader())
    assert str(error.value).startswith(str(root)) and "\n" not in str(error.value)


def test_augmentation_is_a_plain_value() -> None:
    assert pickle.loads(pickle.dumps(SegmentationAugmentation())) == SegmentationAugmentation()
    assert "scale=(0.5, 2.0)" in repr(SegmentationAugmentation())


def test_options_of_masks_are_those_of_their_base() -> None:
    names = {field.name for field in fields(SegmentationDataModule)} - {"root"}
    assert set(SegmentationOptions.__annotations__) == names
    own = {"class_names": None, "ignore_ids": (), "binary": None}
    assert parameters(MaskFolderDataModule) == parameters(SegmentationDataModule) | own


def test_records_are_shared_by_modules_that_read_alike(coco: Coco) -> None:
    root = coco()
    first = CocoDataModule(root, num_workers=0)
    records = first.own_records("train")
    for options, is_same in (
        ({"batch_size": 2, "augmentation": None, "seed": 3}, True),
        ({"divide": "train"}, False),
        ({"val_split": "test"}, False),
    ):
        other = CocoDataModule(root, num_workers=0, **options)
        other.reuse(first)
        assert (other.own_records("train") is records) == is_same
    voc = VocDataModule(root, num_workers=0)
    voc.reuse(first)
    assert voc._read == {}


@pytest.mark.parametrize(
    "values",
    [{"num_workers": -1}, {"eval_batch_size": 0}, {"batch_size": 2.5}, {"num_train": 0}, {"num_val": -3}],
)
def test_numbers_out_of_range_are_refused(values: dict[str, Any]) -> None:
    ((name, _),) = values.items()
    with pytest.raises(ValueError, match=rf"data\.{name} is .*: give a whole number from [01] up"):
        ShapesDetectionDataModule(**values)
