"""Covers tools/train.py: what a training starts from, and where its data are when it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision.models import mobilenet_v2

import pocketvision
from pocketvision.tasks.own import timing
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train

Tiny = Callable[[str], Path]
SMALL = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(64,64)"]


@pytest.mark.parametrize("is_own", [True, False])
def test_weights_of_another_architecture_are_refused_before_anything_is_timed(
    is_own: bool, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A minute of timing went before the sentence."""

    def measure(*arguments: object) -> None:
        pytest.fail("a step was timed")

    monkeypatch.setattr(timing, "measure", measure)
    file, run = tmp_path / "v2.pth", tmp_path / "run"
    torch.save(mobilenet_v2(weights=None).state_dict(), file)
    source = ["--data", str(tiny("coco")), "--model", "ssdlite_v3_small"]
    source = source if is_own else ["ssdlite_v3_small_coco", f"data.root={tiny('coco')}"]
    command = [*source, *SMALL, f"model.weights={file}", "--minutes", "5", "--run-dir", str(run)]
    assert train(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and "is a MobileNetV2" in said and "--model ssdlite_v2" in said
    assert not run.exists()


def test_a_run_goes_on_with_data_that_have_moved(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, moved, run = tmp_path / "data", tmp_path / "disk" / "data", tmp_path / "runs" / "run"
    shutil.copytree(tiny("coco"), data)
    command = ["ssdlite_v3_small_coco", *SMALL, f"data.root={data}", "model.weights=None"]
    assert train([*command, "trainer.max_steps=2", "--run-dir", str(run)]) == 0
    (run / "metrics.json").unlink()  # as if it had been stopped before its scores
    moved.parent.mkdir()
    data.rename(moved)
    capsys.readouterr()
    assert train(["--resume", str(run)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert str(data) in said and "set data.root" in said, "a remedy that the command takes"
    assert train(["--resume", str(run), f"data.root={moved}"]) == 0
    assert json.loads((run / "metrics.json").read_text())["num_images"] == 4
    assert evaluate([str(run)]) == 0, "the run knows the new place"


def test_an_auxiliary_head_is_not_demanded(tmp_path: Path) -> None:
    """Files for inference lack it: another's, and ours without it."""
    names = tuple(f"class {i}" for i in range(3))
    model = pocketvision.load("deeplabv3_v3_large_voc", class_names=names, weights=None)
    state = {name: value for name, value in model.state_dict().items() if "auxiliary" not in name}
    assert len(state) < len(model.state_dict())
    file = tmp_path / "inference.pth"
    torch.save(state, file)
    again = pocketvision.load("deeplabv3_v3_large_voc", class_names=names, weights=str(file))
    assert all(torch.equal(again.state_dict()[name], value) for name, value in state.items())
