"""Covers configs/*.py.

Every shipped config opens with what a user needs to know, and trains a step from end to end.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketvision.core.command import find_config, shipped_configs
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.structures import join_names, names_by_task
from pocketvision.models import detector_in
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment
from pocketvision.tools.eval import main as evaluate
from pocketvision.tools.train import main as train

LAYOUTS = {
    "CocoDataModule": "coco",
    "VocDataModule": "voc",
    "CityscapesDataModule": "cityscapes",
    "MaskFolderDataModule": "masks",
    "ImageFolderDataModule": "image_folder",
    "VocSegmentationDataModule": "voc_masks",
}


@pytest.mark.parametrize("name", shipped_configs())
def test_config_opens_with_what_it_is_and_what_to_expect(name: str) -> None:
    text = ast.get_docstring(ast.parse(shipped_configs()[name].read_text(encoding="utf-8"))) or ""
    assert f"python tools/train.py configs/{name}.py" in text
    assert "Expected:" in text


@pytest.mark.parametrize("name", shipped_configs())
def test_config_trains_a_step(name: str, tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    experiment, _ = load_experiment(shipped_configs()[name], [])
    layout = LAYOUTS.get(experiment.data.func.__name__)
    data = [f"data.root={tiny(layout)}"] if layout else ["data.num_train=4", "data.num_val=4"]
    if experiment.data.func.__name__ == "JointDataModule":
        data = tiny_parts(experiment, tiny)
    run = tmp_path / "run"
    small = ["data.batch_size=2", "data.num_workers=0", "model.image_size=(96,96)", "model.weights=None"]
    if layout in ("cityscapes", "masks", "voc_masks"):
        small.append("data.augmentation.crop_size=(64,64)")
    if layout == "coco":
        small.append("class_names=None")  # the tiny data has other classes than a config for people
    assert train([name, *data, *small, "trainer.max_steps=1", "--run-dir", str(run)]) == 0
    written = {path.name for path in run.iterdir()}
    assert {"metrics.json", "metrics.csv", "weights.safetensors", "curves.png", "predictions.png"} <= written
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"last.ckpt"}

    trained = json.loads((run / "metrics.json").read_text())
    assert evaluate([str(run)]) == 0
    scored = json.loads((run / f"eval_{trained['split']}" / "metrics.json").read_text())
    assert {**scored, "seconds": 0} == {**trained, "seconds": 0}


def tiny_parts(experiment: Experiment, tiny: Callable[[str], Path]) -> list[str]:
    """Overrides for a config of boxes and masks: where the tiny data are, and their classes."""
    parts = parameters(experiment.data)["parts"]
    roots = {task: tiny(LAYOUTS[part.func.__name__]) for task, part in parts.items()}
    words = [
        *(f"data.parts.{task}.root={root}" for task, root in roots.items()),
        "data.parts.segmentation.augmentation.crop_size=(64,64)",
    ]
    if experiment.class_names is None:
        return words
    names = names_by_task(experiment.class_names) | {"detection": ("cat", "owl")}
    return [*words, f"class_names={join_names(names)}"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in shipped_configs()
        if "street" in name or "joint" in name or "ssdlite" in name or "gfl" in name or "detect" in name
    ],
)
def test_the_cap_on_boxes_can_be_overridden(name: str) -> None:
    experiment, _ = load_experiment(find_config(name), ["model.max_detections=7", "model.weights=None"])
    model = build_model(experiment, experiment.class_names or ("a", "b"))
    detector = detector_in(model)
    assert detector is not None and detector.postprocess.max_detections == 7


@pytest.mark.parametrize("name", shipped_configs())
def test_padding_and_normalization_can_be_those_of_any_weights(name: str) -> None:
    words = ["model.padding='same'", "model.mean=(0.4, 0.5, 0.6)", "model.std=(0.1, 0.2, 0.3)"]
    experiment, _ = load_experiment(find_config(name), [*words, "model.weights=None"])
    facts = build_model(experiment, experiment.class_names or ("a", "b")).passport()
    assert facts["padding"] == "same"
    assert facts["mean"] == pytest.approx([0.4, 0.5, 0.6]) and facts["std"] == pytest.approx([0.1, 0.2, 0.3])
