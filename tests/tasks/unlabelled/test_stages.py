"""Covers tasks/unlabelled/outcome.py: three stages, each of which can be gone on with."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file

from pocketvision.core.errors import StoppedError
from pocketvision.runs.folder import Run
from pocketvision.tasks.unlabelled import stages
from pocketvision.tasks.unlabelled.outcome import StudentGain
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train


def words(root: Path) -> list[str]:
    return [
        "own_detection", "recipe=fixed", f"data.root={root}", "data.num_workers=0", "data.batch_size=2",
        "model.image_size=(64,64)", "model.weights=None", "trainer.max_epochs=-1", "trainer.max_steps=2",
    ]  # fmt: skip


@pytest.fixture
def photos(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """Three new pictures and one of the validation split."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(
            str(folder / f"{i}.jpg"), np.random.default_rng(i).integers(0, 256, (64, 96, 3), np.uint8)
        )
    shutil.copyfile(tiny("coco") / "val" / "4.jpg", folder / "known.jpg")
    return folder


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a), load_file(b)
    return all(first[name].equal(second[name]) for name in first)


@pytest.mark.slow
def test_stopped_after_each_stage_it_goes_on(
    tiny: Callable[[str], Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run, before = tmp_path / "run", state(photos)

    def stop(*arguments: object, **options: object) -> None:
        raise StoppedError("stopped by the test", 143)

    for name in ("make_labels", "_train_student", "outcome_of"):
        with monkeypatch.context() as patch:
            patch.setattr(stages, name, stop)
            start = ["--resume", str(run)] if run.exists() else [*words(tiny("coco")), "--run-dir", str(run)]
            more = [] if run.exists() else ["--unlabelled", str(photos)]
            assert train([*start, *more]) == 143
            told = capsys.readouterr().err
        assert name != "_train_student" or f"go on with pocketvision train --resume {run}\n" in told
    labels = (run / "pseudo" / "instances_train.json").read_bytes()
    assert train(["--resume", str(run)]) == 0
    assert (run / "pseudo" / "instances_train.json").read_bytes() == labels, "labels are made once"
    assert state(photos) == before

    record = json.loads((run / "unlabelled.json").read_text())
    assert record["num_known"] == 1 and record["num_pictures"] + record["num_without_sure_box"] == 3
    assert record["outcome"]["line"] in caplog.text
    chosen = "teacher" if (record["outcome"]["high"] or 0) < 0 else "student"
    assert same_weights(run / "weights.safetensors", run / chosen / "weights.safetensors")
    assert not same_weights(run / "student" / "weights.safetensors", run / "teacher" / "weights.safetensors")
    assert (run / "metrics.json").read_bytes() == (run / chosen / "metrics.json").read_bytes()
    assert evaluate([str(run), "--output", str(tmp_path / "eval")]) == 0
    assert train(["--resume", str(run)]) == 1, "it is finished"

    plain = tmp_path / "plain"
    assert train([*words(tiny("coco")), "--run-dir", str(plain)]) == 0
    assert same_weights(plain / "weights.safetensors", run / "teacher" / "weights.safetensors")


def test_a_teacher_that_is_sure_of_nothing_is_what_the_run_keeps(
    tiny: Callable[[str], Path], photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    blind = ["--unlabelled", str(photos), "trainer.limit_val_batches=0", "--run-dir", str(run)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pocketvision.tasks.unlabelled.thresholds.FREQUENCY_SHARE", 0.0)
        assert train([*words(tiny("coco")), *blind]) == 0
    assert "sure of nothing" in caplog.text and not (run / "student").exists()
    assert same_weights(run / "weights.safetensors", run / "teacher" / "weights.safetensors")
    assert Run.open(run).load().unlabelled == str(photos)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["quickstart"], "for boxes in data sets of their own"),
        (["lraspp_v2_camvid"], "for boxes in data sets of their own"),
        (["own_detection", "recipe=fixed", "data.tile_size=640"], "seen as a whole"),
        (["own_detection", "recipe=fixed", "minutes=3"], "no time limit"),
        (["own_detection", "recipe=fixed", "trainer.devices=2"], "in one process"),
    ],
)
def test_what_can_not_learn_so_is_refused(
    more: list[str], sentence: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train([*more, "model.weights=None", "--unlabelled", str(photos), "--run-dir", str(run)]) == 1
    assert sentence in capsys.readouterr().err and not run.exists()


def test_the_outcome_is_one_line() -> None:
    better, worse = StudentGain(9, 0.5, 0.6, 0.1, 0.05, 0.15), StudentGain(9, 0.5, 0.4, -0.1, -0.15, -0.05)
    assert better.keeps_student and "helped: AP 0.5000 -> 0.6000, +0.1000" in better.line()
    assert not worse.keeps_student and "did harm" in worse.line() and "teacher's" in worse.line()
    unclear = StudentGain(9, 0.5, 0.4, -0.1, -0.25, 0.05)
    assert unclear.keeps_student and "no difference for sure" in unclear.line()
    unknown = StudentGain(1)
    assert unknown.keeps_student and "can't be told on 1 pictures" in unknown.line()
