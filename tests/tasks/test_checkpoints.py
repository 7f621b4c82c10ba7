"""Checkpoints against full disks, broken files and half-written ones."""

from __future__ import annotations

import csv
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.tasks.checkpoints import LAST, PREVIOUS, VerifiedCheckpoints, is_intact, newest_intact
from pocketvision.tools.train import main as train

FILES = VerifiedCheckpoints()


@contextmanager
def no_file_above(num_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(step: int) -> dict[str, object]:
    return {"global_step": step, "state_dict": {"w": torch.full((5000,), float(step))}}


def step_of(path: Path) -> int:
    return int(FILES.load_checkpoint(path)["global_step"])


def test_two_are_kept(tmp_path: Path) -> None:
    for step in range(4):
        FILES.save_checkpoint(content(step), tmp_path / LAST)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAST, PREVIOUS]
    assert (step_of(tmp_path / LAST), step_of(tmp_path / PREVIOUS)) == (3, 2)
    assert newest_intact(tmp_path) == tmp_path / LAST


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    FILES.save_checkpoint(content(1), tmp_path / LAST)
    with no_file_above(4096), pytest.raises(OSError, match=r"large|space"):
        FILES.save_checkpoint(content(2), tmp_path / LAST)
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
    assert step_of(newest_intact(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_the_one_before_is_used_where_the_last_is_broken(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        FILES.save_checkpoint(content(step), tmp_path / LAST)
    last = tmp_path / LAST
    data = bytearray(last.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    last.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"" if damage == "empty" else data)
    if damage == "missing":  # killed between the two moves
        last.unlink()
    with caplog.at_level(logging.WARNING, "pocketvision"):
        assert step_of(newest_intact(tmp_path)) == 1
    assert LAST in caplog.text and PREVIOUS in caplog.text


def test_nothing_to_go_on_from(tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(InputError, match="no checkpoint"):
        newest_intact(tmp_path)


def test_every_truncation_is_seen(tmp_path: Path) -> None:
    FILES.save_checkpoint(content(1), tmp_path / LAST)
    data = (tmp_path / LAST).read_bytes()
    for size in range(0, len(data), 1024):
        (tmp_path / "cut").write_bytes(data[:size])
        assert not is_intact(tmp_path / "cut")


def test_what_is_kept_at_the_end_of_an_epoch_knows_its_score(tmp_path: Path) -> None:
    """Else a run that was killed right then would forget that this epoch was the best."""
    run = tmp_path / "run"
    small = ["data.num_train=8", "data.num_val=4", "data.batch_size=4", "model.image_size=(64,64)"]
    length = ["trainer.max_epochs=2", "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1"]
    command = ["quickstart", *small, *length, "data.num_workers=0", "task.optimizer.lr=0.01"]
    assert train([*command, "--run-dir", str(run)]) == 0
    with (run / "metrics.csv").open(newline="") as file:
        scores = [float(row["val/AP"]) for row in csv.DictReader(file) if row["val/AP"]]
    callbacks = FILES.load_checkpoint(run / "checkpoints" / LAST)["callbacks"]
    (best,) = (state for name, state in callbacks.items() if name.startswith("ModelCheckpoint"))
    assert len(set(scores)) == 2, "two epochs that can be told apart"
    assert float(best["current_score"]) == pytest.approx(scores[-1])
