"""Checkpoints against full disks, broken files and half-written ones."""

from __future__ import annotations

import csv
import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pocketvision.core.errors import InputError
from pocketvision.tasks.checkpoints import (
    LAST,
    PREVIOUS,
    KeepBest,
    VerifiedCheckpoints,
    is_intact,
    newest_intact,
)
from pocketvision.tools.train import main as train

FILES = VerifiedCheckpoints()

SCORED = [
    "quickstart", "data.num_train=8", "data.num_val=4", "data.batch_size=4", "model.image_size=(64,64)",
    "trainer.max_epochs=2", "trainer.limit_val_batches=1.0", "trainer.check_val_every_n_epoch=1",
    "data.num_workers=0", "task.optimizer.lr=0.01",
]  # fmt: skip


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
    assert train([*SCORED, "--run-dir", str(run)]) == 0
    with (run / "metrics.csv").open(newline="") as file:
        scores = [float(row["val/AP"]) for row in csv.DictReader(file) if row["val/AP"]]
    callbacks = FILES.load_checkpoint(run / "checkpoints" / LAST)["callbacks"]
    (best,) = (state for name, state in callbacks.items() if name.startswith("ModelCheckpoint"))
    assert len(set(scores)) == 2, "two epochs that can be told apart"
    assert float(best["current_score"]) == pytest.approx(scores[-1])


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_run_elsewhere_knows_its_best_score(how: str, tmp_path: Path) -> None:
    """Its paths were in the checkpoint: a moved run forgot them, a copy wrote into the original."""
    run, there = tmp_path / "run", tmp_path / "deep" / "there"
    assert train([*SCORED, "--run-dir", str(run)]) == 0
    for name in ("metrics.json", "weights.safetensors"):
        (run / name).unlink()  # as if it was killed before its report
    there.parent.mkdir()
    if how == "moved":
        run.rename(there)
    else:
        shutil.copytree(run, there)
        before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    last = there / "checkpoints" / LAST
    assert str(tmp_path).encode() not in last.read_bytes()
    content_before = FILES.load_checkpoint(last)
    key, state = next((k, v) for k, v in content_before["callbacks"].items() if k.startswith("ModelCheck"))
    state["best_model_score"] = torch.tensor(0.75)  # of weights that no epoch after it reaches
    state["best_k_models"] = {name: torch.tensor(0.75) for name in state["best_k_models"]}
    FILES.save_checkpoint(content_before, last)
    best = KeepBest(there / "checkpoints", "val/AP")
    assert best.state_key == key
    best.load_state_dict(state)
    assert best.best_model_path == str((there / "checkpoints" / "best.ckpt").resolve())
    assert float(best.best_model_score or 0) == 0.75
    assert train(["--resume", str(there)]) == 0
    expected, weights = (
        FILES.load_checkpoint(there / "checkpoints" / "best.ckpt"),
        there / "weights.safetensors",
    )
    for name, value in load_file(weights).items():
        assert torch.equal(value, expected["state_dict"][f"model.{name}"])
    if how == "copied":
        assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_checkpoints_of_version_0_1_are_read(tmp_path: Path) -> None:
    """They hold absolute paths, Windows' too."""
    FILES.save_checkpoint(content(1), tmp_path / "best.ckpt")
    for folder in ("/old/run/checkpoints/", "C:\\old\\run\\checkpoints\\"):
        old = folder + "best.ckpt"
        state = {
            "monitor": "val/AP", "best_model_score": torch.tensor(0.5), "best_model_path": old,
            "current_score": torch.tensor(0.25), "dirpath": folder, "best_k_models": {old: torch.tensor(0.5)},
            "kth_best_model_path": old, "kth_value": torch.tensor(0.5), "last_model_path": "",
        }  # fmt: skip
        best = KeepBest(tmp_path, "val/AP")
        best.load_state_dict(state)
        assert Path(best.best_model_path) == tmp_path.resolve() / "best.ckpt"
        assert float(best.best_model_score or 0) == 0.5


def test_a_best_checkpoint_that_is_gone_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FILES.save_checkpoint(content(1), tmp_path / "best.ckpt")
    state = KeepBest(tmp_path, "val/AP").state_dict()
    state |= {"best_model_path": "best.ckpt", "best_model_score": torch.tensor(0.5)}
    (tmp_path / "best.ckpt").unlink()
    best = KeepBest(tmp_path, "val/AP")
    with caplog.at_level(logging.WARNING, "pocketvision"):
        best.load_state_dict(state)
    assert "best.ckpt is missing or broken" in caplog.text and best.best_model_score is None
