"""The train command: what it writes, and what it says of bad input."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pocketvision.tools.export import main as export
from pocketvision.tools.predict import main as predict
from pocketvision.tools.train import main as train

SMALL = ["quickstart", "data.num_train=4", "data.num_val=4", "data.batch_size=2", "trainer.max_steps=2"]
COCO = ["ssdlite_v3_small_coco", "data.batch_size=2", "data.num_workers=0", "trainer.max_steps=1"]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a failed command printed."""
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    return message


def test_print_config_shows_overrides_and_builds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train([*SMALL, "task.optimizer.lr=0.125", "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "lr=0.125" in shown and "num_train=4" in shown and "max_steps=2" in shown
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_open_without_pickle(tmp_path: Path) -> None:
    assert train([*SMALL, "--run-dir", str(tmp_path / "run")]) == 0
    files = list((tmp_path / "run" / "checkpoints").iterdir())
    assert files
    for file in files:
        assert torch.load(file, weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["coco", None])
def test_what_is_next_works_as_printed(
    layout: str | None, tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The folder has a space; drawn pictures have no files to predict on."""
    monkeypatch.chdir(tmp_path)
    small = ["data.num_workers=0", "model.image_size=(64,64)", "trainer.max_steps=1"]
    source = SMALL if layout is None else [*COCO, f"data.root={tiny(layout)}", "model.weights=None"]
    assert train([*source, *small, "--run-dir", "my run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [shlex.split(line.removeprefix("next: ")) for line in lines if line.startswith("next: ")]
    assert [words[:3] for words in commands] == [
        ["pocketvision", "predict", "my run"], ["pocketvision", "export", "my run"],
    ]  # fmt: skip
    assert lines[-1].startswith("next: "), "last, where people look"
    for tool, (_, _, *words) in zip((predict, export), commands, strict=True):
        assert tool(words) == 0, capsys.readouterr().err
    assert Path(commands[1][-1]).is_file() and len(list(Path("out/predict").rglob("*.*"))) == 1


def test_an_unknown_key_is_answered_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train([*COCO, "data.rot=/nowhere", "--run-dir", str(run)]) == 1
    message = said(capsys)
    assert "'data.rot'" in message and "'root'" in message
    assert not run.exists()


def test_an_existing_run_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert train([*SMALL, "--run-dir", str(tmp_path)]) == 1
    assert str(tmp_path) in said(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_missing_data_names_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train([*COCO, f"data.root={tmp_path / 'none'}", "--run-dir", str(tmp_path / "run")]) == 1
    assert str(tmp_path / "none") in said(capsys)
    assert not (tmp_path / "run").exists()


def test_a_truncated_image_is_named(
    tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny("coco"), root)
    for broken in (root / "train").iterdir():
        broken.write_bytes(broken.read_bytes()[:200])
    command = [*COCO, f"data.root={root}", "model.image_size=(64,64)", "data.num_workers=1"]
    assert train([*command, "--run-dir", str(tmp_path / "run")]) == 1
    assert str(root / "train") in said(capsys)


def test_no_gpu_where_one_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert train([*SMALL, "trainer.accelerator=gpu", "--run-dir", str(tmp_path / "run")]) == 1
    assert "trainer.accelerator" in said(capsys)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_architecture_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.pth"
    torch.save({"features.0.0.weight": torch.zeros(8, 3, 3, 3)}, file)
    assert train([*SMALL, f"model.weights={file}", "--run-dir", str(tmp_path / "run")]) == 1
    assert str(file) in said(capsys)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.image_size=320", "image_size"),
        ("data.batch_size=many", "data.batch_size"),
        ("task.schedule=cosin", "schedule"),
        ("task.loss.coder.center_variance=0.2", "center_variance"),
        ("task.optimizer.lr=fast", "config"),
        ("trainer.precision=foo", "foo"),
        ("trainer.limit_val_batches=0.5", "limit_val_batches"),
        ("data.num_val=0", "config"),
    ],
)
def test_values_that_do_not_fit_are_one_sentence_and_leave_nothing(
    override: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train([*SMALL, override, "--run-dir", str(tmp_path / "run")]) == 1
    assert named in said(capsys)
    assert not (tmp_path / "run").exists()


def test_class_weights_must_fit_the_classes(
    tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lraspp_v2_camvid", f"data.root={tiny('masks')}", "model.weights=None"]
    command += ["task.loss.class_weights=(1.0,2.0)", "--run-dir", str(tmp_path / "run")]
    assert train(command) == 1
    assert "task.loss.class_weights" in said(capsys)


def test_the_last_weights_count_where_the_last_epoch_is_not_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The scoring at the end was told as one of a fourth epoch."""
    run = tmp_path / "run"
    command = [*SMALL[:-1], "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]
    with caplog.at_level("INFO", "pocketvision"):
        assert train([*command, "--run-dir", str(run)]) == 0
    last, best = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("last", "best")
    )
    assert last["epoch"] == 2
    scores = [
        float(row["val/AP"])
        for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())
        if row["val/AP"]
    ]
    assert len(scores) == 2
    assert re.findall(r"(epoch \d+|after \d+ steps): AP", caplog.text) == ["epoch 2", "after 6 steps"]
    assert json.loads((run / "metrics.json").read_text())["AP"] == pytest.approx(max(scores), abs=1e-6)
    assert best["global_step"] in (4, 6)


def test_a_loss_that_is_not_finite_names_the_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SMALL, "task.optimizer.lr=1e30", "task.warmup_steps=0", "trainer.max_steps=10"]
    assert train([*command, "--run-dir", str(tmp_path / "run")]) == 1
    message = said(capsys)
    assert "not finite" in message and "task.optimizer.lr" in message


@pytest.mark.filterwarnings("ignore:A BatchNorm saw one value")  # the last map is 1x1 at this size
def test_a_batch_may_be_one_image_without_boxes(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    """The tiny COCO set has such an image."""
    command = [*COCO, f"data.root={tiny('coco')}", "data.batch_size=1", "model.image_size=(64,64)"]
    assert train([*command, "trainer.max_steps=4", "--run-dir", str(tmp_path / "run")]) == 0
