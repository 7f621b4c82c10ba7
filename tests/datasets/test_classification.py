"""Covers datasets/augment/inception_crop.py.

Images and classes as the model gets them, Inception's crops, and the data module.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import ClassificationAugmentation, ClassificationDataset, ImageFolderDataModule
from pocketvision.datasets.augment.inception_crop import inception_window
from pocketvision.datasets.images.read import read_image

RESIZE = Resize((32, 48), mode="crop", antialias=True)
SAME = ClassificationAugmentation((1.0, 1.0), (1.5, 1.5), horizontal_flip=0.0, photometric=False)


@pytest.fixture
def data(tmp_path: Path, write_image: Callable[..., None]) -> ImageFolderDataModule:
    for split in ("train", "val"):
        for i, name in enumerate(("cat", "cat", "cat", "owl", "owl")):
            write_image(tmp_path / split / name / f"{i}.jpg", height=40, width=60, seed=i)
    module = ImageFolderDataModule(tmp_path, batch_size=2, eval_batch_size=4, num_workers=0)
    module.connect(module.class_names(), RESIZE)
    return module


def test_evaluation_resizes_and_keeps_order(data: ImageFolderDataModule) -> None:
    batches = list(data.val_dataloader())
    assert [len(batch.targets) for batch in batches] == [4, 1]
    targets = [target for batch in batches for target in batch.targets]
    assert [target.label for target in targets] == [0, 0, 0, 1, 1]
    assert {target.original_size for target in targets} == {(40, 60)}
    for target, image in zip(targets, (i for batch in batches for i in batch.images), strict=True):
        path = data.records("val").image_paths[target.image_id - 1]
        assert (image.permute(1, 2, 0).numpy() == RESIZE.apply(read_image(path))).all()


def test_epochs_shuffle_and_vary(data: ImageFolderDataModule) -> None:
    loader = data.train_dataloader()
    first, second = list(loader), list(loader)
    assert [len(batch.targets) for batch in first] == [2, 2]
    assert first[0].images.shape == (2, 3, 32, 48)
    assert [t.image_id for b in first for t in b.targets] != [t.image_id for b in second for t in b.targets]
    dataset = data.dataset("train", train=True)
    assert (dataset[0, 1][0] == dataset[0, 1][0]).all() and (dataset[0, 1][0] != dataset[1, 1][0]).any()


def test_augmentation_that_changes_nothing_stretches(data: ImageFolderDataModule) -> None:
    dataset = ClassificationDataset(data.records("train"), RESIZE, SAME)
    image = read_image(data.records("train").image_paths[2])
    plain = Resize((32, 48), antialias=True).apply(image)
    assert (dataset[2][0].permute(1, 2, 0).numpy() == plain).all()


def test_a_broken_image_is_named(data: ImageFolderDataModule) -> None:
    path = Path(data.records("val").image_paths[1])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"1\.jpg is truncated or broken"):
        list(data.val_dataloader())


def test_loaders_pickle(data: ImageFolderDataModule) -> None:
    dataset = pickle.loads(pickle.dumps(data.dataset("train", train=True)))
    assert (dataset[0, 3][0] == data.dataset("train", train=True)[0, 3][0]).all()
    assert ClassificationAugmentation() == pickle.loads(pickle.dumps(ClassificationAugmentation()))


def test_windows_have_the_share_and_the_ratio_that_were_asked_for() -> None:
    rng = np.random.default_rng(0)
    windows = [inception_window((300, 400), (0.08, 1.0), (3 / 4, 4 / 3), rng) for _ in range(3000)]
    heights, widths = (np.array([w[axis].stop - w[axis].start for w in windows]) for axis in (0, 1))
    assert all(r.start >= 0 and c.start >= 0 and r.stop <= 300 and c.stop <= 400 for r, c in windows)
    shares, ratios = heights * widths / 120_000, widths / heights
    assert 0.078 < shares.min() < 0.1 and shares.max() > 0.85
    assert 0.74 < ratios.min() < 0.77 and 1.3 < ratios.max() < 1.35
    assert abs(np.log(ratios[shares < 0.4]).mean()) < 0.02  # log-uniform: tall as often as wide
    assert abs(np.mean([c.start + c.stop for _, c in windows]) / 2 - 200) < 5


def test_windows_are_drawn_as_torchvision_draws_them() -> None:
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image, rng = torch.zeros(1, 200, 300), np.random.default_rng(0)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.2, 0.7], [0.5, 2.0])[2:] for _ in range(2000)])
    windows = [inception_window((200, 300), (0.2, 0.7), (0.5, 2.0), rng) for _ in range(2000)]
    ours = np.array([(r.stop - r.start, c.stop - c.start) for r, c in windows])
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=0.03)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.06)


@pytest.mark.parametrize("size", [(1000, 10), (10, 1000), (1, 1)])
def test_a_sliver_gives_its_largest_part(size: tuple[int, int]) -> None:
    rows, columns = inception_window(size, (1.0, 1.0), (3 / 4, 4 / 3), np.random.default_rng(0))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    expected = {(1000, 10): (13, 10), (10, 1000): (10, 13), (1, 1): (1, 1)}[size]
    assert (height, width) == expected
    assert math.isclose(rows.start + rows.stop, size[0], abs_tol=1)
    assert math.isclose(columns.start + columns.stop, size[1], abs_tol=1)
