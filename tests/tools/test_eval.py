"""Covers evaluation/evaluate_run.py, evaluation/originals.py.

The eval command: from a run folder alone, the numbers of its own files, and bad input.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.runs.folder import Run
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train

SMALL = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(96,96)", "model.weights=None"]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a failed command printed."""
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    return message


@pytest.fixture(scope="module")
def coco_run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    run = tmp_path_factory.mktemp("coco_run") / "run"
    command = ["ssdlite_v3_small_coco", f"data.root={tiny('coco')}", *SMALL]
    assert train([*command, "trainer.max_steps=8", "task.optimizer.lr=1.0", "--run-dir", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def mask_run(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    run = tmp_path_factory.mktemp("mask_run") / "run"
    command = ["lraspp_v2_camvid", f"data.root={tiny('masks')}", *SMALL, "trainer.max_steps=2"]
    assert train([*command, "data.augmentation.crop_size=(64,64)", "--run-dir", str(run)]) == 0
    return run


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_results_give_the_printed_numbers_to_pycocotools_alone(coco_run: Path, tmp_path: Path) -> None:
    assert evaluate([str(coco_run), "--output", str(tmp_path / "out")]) == 0
    overrides = json.loads((coco_run / "run.json").read_text())["overrides"]
    root = next(Path(word.partition("=")[2]) for word in overrides if word.startswith("data.root="))
    truth = COCO(str(root / "instances_val.json"))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results and {result["category_id"] for result in results} <= {7, 90}
    evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "out" / "results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    names += ("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large")
    metrics = read(tmp_path / "out")
    for name, value in zip(names, evaluation.stats, strict=True):
        assert metrics[name] == (None if value == -1 else pytest.approx(value, abs=1e-12)), name
    assert metrics["num_images"] == 4 and metrics["split"] == "val" and metrics["seconds"] > 0
    assert set(metrics["per_class"]) == {"cat", "owl"}


def test_a_run_folder_is_enough(coco_run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(coco_run, moved)
    assert evaluate([str(moved)]) == 0
    assert read(moved / "eval_val")["AP"] == read(coco_run)["AP"]


def test_a_config_that_imports_its_neighbour_runs_from_the_run_folder_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "base.py").write_text("from pocketvision.configs.quickstart import config as base\n")
    (mine / "variant.py").write_text("from base import base\n\nconfig = base\n")
    run = tmp_path / "run"
    tiny = ["data.num_train=4", "data.num_val=4", "data.batch_size=2", "trainer.max_steps=1"]
    assert train([str(mine / "variant.py"), *tiny, "--run-dir", str(run)]) == 0
    shutil.rmtree(mine)
    assert evaluate([str(run)]) == 0


def test_the_batch_size_does_not_change_the_numbers(coco_run: Path, mask_run: Path, tmp_path: Path) -> None:
    for run, metric in ((coco_run, "AP"), (mask_run, "mIoU")):
        values = []
        for size in (1, 4):
            output = tmp_path / f"{metric}{size}"
            assert evaluate([str(run), f"data.eval_batch_size={size}", "--output", str(output)]) == 0
            values.append(read(output)[metric])
        assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_masks_are_written_for_every_image(mask_run: Path, tmp_path: Path) -> None:
    assert evaluate([str(mask_run), "--split", "test", "--output", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 4
    metrics = read(tmp_path / "out")
    assert {"mIoU", "pixel_accuracy", "per_class", "num_images", "split", "seconds"} <= set(metrics)
    assert len(metrics["per_class"]) == 11


def test_config_and_weights_file_do_without_a_run(coco_run: Path, tmp_path: Path) -> None:
    overrides = json.loads((coco_run / "run.json").read_text())["overrides"]
    weights = coco_run / "weights.safetensors"
    assert read_passport(weights)["class_names"] == ["cat", "owl"]
    command = ["ssdlite_v3_small_coco", "--weights", str(weights), *overrides]
    assert evaluate([*command, "--output", str(tmp_path / "out")]) == 0
    assert read(tmp_path / "out")["AP"] == read(coco_run)["AP"]


def test_the_cap_on_boxes_is_overridden_with_a_run_and_with_a_config(coco_run: Path, tmp_path: Path) -> None:
    """It was refused as not of the weights' training."""
    words = json.loads((coco_run / "run.json").read_text())["overrides"]
    sources = [str(coco_run)], [
        "ssdlite_v3_small_coco", "--weights", str(coco_run / "weights.safetensors"), *words,
    ]  # fmt: skip
    for i, source in enumerate(sources):
        assert evaluate([*source, "model.max_detections=1", "--output", str(tmp_path / str(i))]) == 0
        results = json.loads((tmp_path / str(i) / "results.json").read_text())
        assert max(Counter(result["image_id"] for result in results).values()) == 1


@pytest.mark.parametrize("config", ["ssdlite_v3_large_coco", "lraspp_v2_camvid"])
def test_weights_of_another_model_are_refused(
    config: str, coco_run: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    layout = "coco" if config.startswith("ssdlite") else "masks"
    weights = coco_run / "weights.safetensors"
    assert evaluate([config, "--weights", str(weights), f"data.root={tiny(layout)}", *SMALL]) == 1
    message = said(capsys)
    assert str(weights) in message if layout == "coco" else "class_weights" not in message


def test_a_missing_split_lists_those_that_exist(coco_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([str(coco_run), "--split", "tset"]) == 1
    message = said(capsys)
    assert "tset" in message and "train" in message and "val" in message


def test_bad_sources_are_one_sentence(
    coco_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(tmp_path)]) == 1
    assert "not a run folder" in said(capsys)
    assert evaluate(["quickstart"]) == 1
    assert "--weights" in said(capsys)
    assert evaluate(["quickstart", "--weights", str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors" in said(capsys)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("keep")
    assert evaluate([str(coco_run), "--output", str(tmp_path / "taken")]) == 1
    assert "taken" in said(capsys)


def renamed(source: Path, target: Path, names: dict[str, str]) -> Path:
    """A copy of a COCO data set with other class names."""
    shutil.copytree(source, target)
    for file in target.glob("*.json"):
        content = json.loads(file.read_text())
        for category in content["categories"]:
            category["name"] = names[category["name"]]
        file.write_text(json.dumps(content))
    return target


def test_common_classes_are_scored_and_none_in_common_is_refused(
    coco_run: Path, tmp_path: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = renamed(tiny("coco"), tmp_path / "one", {"cat": "zebra", "owl": "owl"})
    assert evaluate([str(coco_run), f"data.root={data}", "--output", str(tmp_path / "out")]) == 0
    metrics = read(tmp_path / "out")
    assert set(metrics["per_class"]) == {"owl"}
    assert metrics["num_images"] == 4
    assert metrics["AP"] == pytest.approx(read(coco_run)["per_class"]["owl"]["AP"], abs=1e-12)

    data = renamed(tiny("coco"), tmp_path / "none", {"cat": "zebra", "owl": "emu"})
    assert evaluate([str(coco_run), f"data.root={data}"]) == 1
    message = said(capsys)
    assert all(name in message for name in ("cat", "owl", "zebra", "emu"))


def test_an_eval_that_fails_leaves_nothing(
    coco_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a folder nor a name that is taken."""
    moved, given = tmp_path / "run", tmp_path / "given"
    shutil.copytree(coco_run, moved)
    given.mkdir()
    link = tmp_path / "link"
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to("elsewhere", target_is_directory=True)

    def failing(*arguments: Any, **options: Any) -> None:
        raise InputError("stop")

    with monkeypatch.context() as patch:
        patch.setattr("pocketvision.evaluation.evaluate.write_report", failing)
        for command in ([str(moved)], *([str(moved), "--output", str(place)] for place in (given, link))):
            assert evaluate(command) == 1 and said(capsys) == "error: stop"
    assert not list(moved.glob("eval_*")) and given.is_dir() and not list(given.iterdir())
    assert link.is_symlink() and not list((tmp_path / "elsewhere").iterdir())
    assert evaluate([str(moved)]) == 0 and (moved / "eval_val" / "metrics.json").is_file()


def test_other_classes_are_not_scored_as_if_nothing_were_said(
    coco_run: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    own = Run.open(coco_run).record["class_names"]
    assert evaluate([str(coco_run), f"class_names={own}", "--output", str(coco_run.parent / "same")]) == 0
    capsys.readouterr()
    assert evaluate([str(coco_run), "class_names=('cat',)"]) == 1
    assert "has learned cat, owl, and class_names can't be changed" in said(capsys)
    weights = ["--weights", str(coco_run / "weights.safetensors"), f"data.root={tiny('coco')}"]
    assert evaluate(["ssdlite_v3_small_coco", *weights, *SMALL, "class_names=('cat',)"]) == 1
    assert "is for the classes cat, owl, and class_names can't be changed" in said(capsys)


def test_the_best_threshold_is_kept_in_the_weights(coco_run: Path) -> None:
    analysis = json.loads((coco_run / "analysis.json").read_text())
    assert read_passport(coco_run / "weights.safetensors").get("threshold") == analysis["threshold"]
