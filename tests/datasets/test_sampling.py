"""Covers datasets/cores.py.

What an epoch contains depends neither on the number of loader processes nor on how they are started;
how many epochs a run begins, and whose samples are whose.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, DetectionAugmentation, sampling
from pocketvision.datasets.cores import default_num_workers, num_cores
from pocketvision.datasets.sampling import ProcessShare, num_epochs, sample_rng, use_one_thread

# No flips and colors: a fresh process would need seconds to import albumentations.
GEOMETRY = DetectionAugmentation(horizontal_flip=0.0, photometric=False, mosaic=0.3)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_anew(
    coco: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = coco()
    (root / "train" / "2.jpg").write_bytes(b"no image")
    data = CocoDataModule(root, batch_size=2, num_workers=1, augmentation=GEOMETRY, cache="disk", seed=3)
    data.connect(data.class_names(), Resize((64, 64)))
    loader = data.train_dataloader()
    other = DataLoader(
        loader.dataset, 2, sampler=data.train_dataloader().sampler, num_workers=1, persistent_workers=True,
        collate_fn=loader.collate_fn, worker_init_fn=use_one_thread, multiprocessing_context=method,
    )  # fmt: skip
    for _ in range(2):
        for here, there in zip(loader, other, strict=True):
            assert torch.equal(here.images, there.images)
            assert [target.image_id for target in here.targets] == [
                target.image_id for target in there.targets
            ]
            assert all(
                torch.equal(a.boxes, b.boxes) for a, b in zip(here.targets, there.targets, strict=True)
            )
    assert loader.dataset.failures.count == 1


def test_a_cache_changes_nothing_but_time(coco: Callable[..., Path]) -> None:
    root, runs = coco(), []
    for cache, gib in ((None, 1.0), ("ram", 1.0), ("ram", 2 * 4 * 4096 / 2**30)):
        data = CocoDataModule(root, batch_size=4, num_workers=1, cache=cache, cache_gib=gib)
        data.connect(data.class_names(), Resize((64, 64)))
        loader = data.train_dataloader()
        runs.append([batch.images for _ in range(2) for batch in loader])
    for run in runs[1:]:
        assert all(torch.equal(one, two) for one, two in zip(run, runs[0], strict=True))


def test_as_many_as_there_are_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("pocketvision.datasets.cores._QUOTA", quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for text, cores, workers in (("max 100000", 64, 8), ("400000 100000", 4, 3), ("50000 100000", 1, 1)):
        quota.write_text(text)
        assert (num_cores(), default_num_workers()) == (cores, workers)
    quota.write_text("1600000 100000")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_num_workers() == 3


@pytest.mark.parametrize(
    ("max_epochs", "max_steps", "expected"),
    [
        (None, None, None),
        (-1, -1, None),
        (3, None, 3),
        (3, -1, 3),
        (None, 1, 1),
        (None, 4, 1),
        (-1, 5, 2),
        (None, 8, 2),
        (3, 5, 2),
        (1, 9, 1),
    ],
)
def test_epochs_of_four_steps(max_epochs: int | None, max_steps: int | None, expected: int | None) -> None:
    assert num_epochs(4, max_epochs, max_steps) == expected


@pytest.mark.parametrize("num_samples", [0, 1, 3, 10])
def test_every_sample_is_in_exactly_one_process(monkeypatch: pytest.MonkeyPatch, num_samples: int) -> None:
    monkeypatch.setattr(sampling, "num_processes", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(sampling, "process_index", lambda rank=rank: rank)
        share = ProcessShare(num_samples)
        assert len(share) == len(list(share))
        shares += list(share)
    assert sorted(shares) == list(range(num_samples))


def test_randomness_is_of_the_sample_and_its_epoch() -> None:
    first = sample_rng(0, 1, 2).random(3)
    assert np.array_equal(first, sample_rng(0, 1, 2).random(3))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 2, 1)):
        assert not np.array_equal(first, sample_rng(*other).random(3))


def test_a_worker_keeps_opencv_to_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(sampling, "leave_signals_to_parent", lambda: done.append("signals"))
    monkeypatch.setattr(sampling, "end_without_shared_memory", lambda: done.append("memory"))
    before = cv2.getNumThreads()
    try:
        use_one_thread(0)
        assert cv2.getNumThreads() == 1 and done == ["signals", "memory"]
    finally:
        cv2.setNumThreads(before)
