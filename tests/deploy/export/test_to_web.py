"""Covers tools/export_web.py.

The web page in a real browser: the same results as Python's, from one folder and no other host.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from pocketvision.core.drawing import PALETTE
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize, Tiling
from pocketvision.deploy.export.to_web import write_web_page
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.onnx_session import OnnxRuntime
from pocketvision.models import Detector, JointModel, VisionModel
from pocketvision.tools.export import main

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
REAL = HERE.parents[3] / "shared" / "data" / "coco_mini" / "val"
TASKS = ("detection", "segmentation", "classification")
TILED = {"detection_in_tiles": "detection", "segmentation_in_tiles": "segmentation"}
TILING = Tiling((60, 64), 0.3)
BEST_THRESHOLD = 0.37
SIZES = ((90, 70), (40, 200), (64, 80), (133, 151))
CASES = [
    Resize((24, 30)),
    Resize((100, 180)),
    Resize((32, 32), mode="letterbox"),
    Resize((24, 30), mode="crop"),
    Resize((24, 30), mode="crop", antialias=True),
    Resize((150, 150), antialias=True),
    Resize((24, 30), mode="crop", antialias=True, interpolation="bicubic"),
    Resize((24, 30), interpolation="bicubic"),
    Resize((24, 30), interpolation="nearest"),
]


@pytest.fixture(scope="module")
def site(
    onnxruntime_web: None,
    models: dict[str, VisionModel],
    street: JointModel,
    images: Tensor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A page for each task, and pictures, some of them real ones where the data is there, without loss."""
    root = tmp_path_factory.mktemp("site")
    for task in TASKS:
        model = copy.deepcopy(models[task])
        if isinstance(model, Detector):
            model.best_threshold = BEST_THRESHOLD
        write_web_page(model, root / task, source="test", licence="Apache-2.0")
    for name, task in TILED.items():
        model = copy.deepcopy(models[task])
        model.resize = replace(model.resize, tiling=TILING)
        write_web_page(model, root / name)
    write_web_page(street, root / "street")
    (root / "pictures").mkdir()
    arrays = [
        cv2.resize(array, size[::-1])
        for array, size in zip(images.permute(0, 2, 3, 1).numpy(), SIZES, strict=True)
    ]
    arrays += [cv2.imread(str(path)) for path in sorted(REAL.glob("*.jpg"))[:3]]
    for i, array in enumerate(arrays):
        assert cv2.imwrite(str(root / "pictures" / f"{i}.png"), array)
    names = [f"{i}.png" for i in range(len(arrays))]
    cases = [{"picture": names[3], "resize": asdict(resize)} for resize in CASES]
    plan = {
        "tasks": TASKS, "tiled": [*TILED], "several": ["street"], "pictures": names, "cases": cases,
        "shown": names[-1],
    }  # fmt: skip
    (root / "plan.json").write_text(json.dumps(plan))
    short = {**plan, "tasks": TASKS[:1], "tiled": [], "several": [], "cases": []}
    (root / "short_plan.json").write_text(json.dumps(short))
    shutil.copy(HERE / "web_probe.html", root)
    return root


@pytest.fixture(scope="module")
def answer(site: Path, visit: Callable[..., Any]) -> Any:
    """What Chromium found; opened once for all tests."""
    return visit(site, "web_probe.html?plan.json")


def expected(site: Path, task: str, threshold: float = 0.0) -> dict[str, Prediction]:
    """Python's predictions with the page's own model."""
    predictor = Predictor(OnnxRuntime(site / task / "model.onnx"), threshold=threshold)
    return {path.name: predictor(path) for path in sorted((site / "pictures").iterdir())}


def match_rate(prediction: Prediction, found: list[dict[str, Any]]) -> float:
    """The share of Python's boxes that the page has, too: IoU 0.9, the same class, scores within 0.02."""
    assert prediction.boxes is not None and len(found) == len(prediction.boxes) > 0
    boxes = torch.tensor([row["box"] for row in found])
    is_near = box_iou(torch.from_numpy(prediction.boxes), boxes).numpy() >= 0.9
    is_near &= np.asarray(prediction.labels)[:, None] == [row["label"] for row in found]
    is_near &= np.abs(np.asarray(prediction.scores)[:, None] - [row["score"] for row in found]) <= 0.02
    return float(is_near.any(axis=1).mean())


def test_boxes_are_pythons(site: Path, answer: Any) -> None:
    found = answer["results"]["detection"]
    rates = [match_rate(one, found[name]["boxes"]) for name, one in expected(site, "detection").items()]
    assert np.mean(rates) >= 0.99, rates


def test_tiles_are_pythons(site: Path, answer: Any) -> None:
    found = answer["results"]
    pairs = expected(site, "detection_in_tiles").items()
    rates = [match_rate(one, found["detection_in_tiles"][name]["boxes"]) for name, one in pairs]
    assert np.mean(rates) >= 0.99, rates
    for name, prediction in expected(site, "segmentation_in_tiles").items():
        labels = found["segmentation_in_tiles"][name]["labels"]
        label_map = np.reshape(labels["data"], (labels["height"], labels["width"]))
        assert (label_map == prediction.label_map).mean() >= 0.9999, name


def test_the_slider_begins_at_the_models_best_threshold(answer: Any) -> None:
    settings = {task: answer["seen"][task]["setting"] for task in TASKS}
    assert settings["detection"] == BEST_THRESHOLD and settings["segmentation"] == 0.5


def test_label_maps_are_pythons(site: Path, answer: Any) -> None:
    for name, prediction in expected(site, "segmentation").items():
        labels = answer["results"]["segmentation"][name]["labels"]
        label_map = np.reshape(labels["data"], (labels["height"], labels["width"]))
        assert len(np.unique(label_map)) > 1
        assert (label_map == prediction.label_map).mean() >= 0.9999, name


def test_classes_are_pythons(site: Path, answer: Any) -> None:
    for name, prediction in expected(site, "classification").items():
        classes = answer["results"]["classification"][name]["classes"]
        assert [row["label"] for row in classes] == np.asarray(prediction.labels).tolist()
        np.testing.assert_allclose([row["score"] for row in classes], prediction.scores, atol=1e-4)


def test_the_input_is_pythons(site: Path, answer: Any) -> None:
    picture = cv2.cvtColor(cv2.imread(str(site / "pictures" / "3.png")), cv2.COLOR_BGR2RGB)
    for resize, found in zip(CASES, answer["inputs"], strict=True):
        right = resize.apply(picture).transpose(2, 0, 1).ravel()
        limit = int(resize.interpolation == "bicubic" and not resize.antialias)
        assert np.abs(np.array(found) - right).max() <= limit, resize


def test_threads_are_used_where_the_server_allows_them(
    site: Path, answer: Any, visit: Callable[..., Any]
) -> None:
    isolated = visit(site, "web_probe.html?short_plan.json", isolates=True)
    assert isolated["isolated"]
    found = isolated["results"]["detection"]
    rates = [match_rate(one, found[name]["boxes"]) for name, one in expected(site, "detection").items()]
    assert np.mean(rates) >= 0.99, rates
    assert (
        isolated["seen"]["detection"]["picture"]["found"] == answer["seen"]["detection"]["picture"]["found"]
    )


def test_a_person_sees_results_and_the_rate(site: Path, answer: Any) -> None:
    seen = answer["seen"]["detection"]
    name = json.loads((site / "plan.json").read_text())["shown"]
    found = expected(site, "detection", BEST_THRESHOLD)[name]
    counts = {label: found.names.count(label) for label in found.names}
    assert sorted(seen["picture"]["found"]) == sorted(f"{label} {count}" for label, count in counts.items())
    drawn = {tuple(map(int, color.split())) for color in seen["picture"]["colors"]}
    assert drawn & set(PALETTE[:4])
    for task in TASKS:
        assert re.fullmatch(r"[\d.]+ frames/s · \d+ ms", answer["seen"][task]["picture"]["rate"])
    assert seen["highest"]["found"] == ["Nothing above the threshold"]
    assert answer["seen"]["classification"]["picture"]["found"][0].split()[0] in ("cat", "dog", "owl")


def test_in_a_crowd_names_do_not_hide_objects_or_each_other(answer: Any) -> None:
    """But the first of each class, which always has its name."""
    boxes, names = (torch.tensor(answer["crowd"][kind], dtype=torch.float64) for kind in ("boxes", "names"))
    assert 4 < len(names) < 100 and len(boxes) == 120
    assert box_iou(names, names).triu(1)[:, 2:].max() == 0
    corners = torch.maximum(boxes[:, None, :2], names[:, :2]), torch.minimum(boxes[:, None, 2:], names[:, 2:])
    is_hidden = (corners[1] - corners[0]).clamp(min=0).prod(dim=2) > 0.5 * 12 * 8
    assert is_hidden[:, 2:].sum(dim=0).max() <= 1, "its own box, at most"


def test_several_tasks_are_pythons_from_one_run(site: Path, answer: Any) -> None:
    found = answer["results"]["street"]
    for name, prediction in expected(site, "street").items():
        assert isinstance(prediction, JointPrediction)
        assert match_rate(prediction.parts["detection"], found[name]["boxes"]) >= 0.95
        labels = found[name]["labels"]
        label_map = np.reshape(labels["data"], (labels["height"], labels["width"]))
        assert (label_map == prediction.label_map).mean() >= 0.9999, name


def test_each_of_several_tasks_can_be_switched_off(answer: Any) -> None:
    seen = answer["seen"]["street"]
    assert seen["begin"].startswith("detection and segmentation, 14 classes, 96 x 64")
    boxes, shares = seen["without segmentation"]["found"], seen["without detection"]["found"]
    assert all(row.endswith("%") for row in shares) and not any(row.endswith("%") for row in boxes)
    assert seen["all"]["found"] == boxes + shares and boxes and shares
    pictures = [seen[name]["colors"] for name in ("all", "without segmentation", "without detection")]
    assert all(one != other for one, other in itertools.combinations(pictures, 2))


def test_the_page_says_what_runs_and_how(answer: Any) -> None:
    assert re.fullmatch(
        r"detection, 3 classes, 80 x 64 · 0\.\d\sMB · WebAssembly · warm-up \d+ ms · weights: Apache-2.0",
        answer["seen"]["detection"]["begin"],
    )


def test_the_camera_runs_and_stops(answer: Any) -> None:
    for task in TASKS:
        seen = answer["seen"][task]
        assert seen["camera"]["button"] == "Stop" and seen["stopped"]["button"] == "Camera"
        assert re.fullmatch(r"[\d.]+ frames/s · \d+ ms", seen["camera"]["rate"])


def test_a_file_that_is_no_picture_is_told(answer: Any) -> None:
    assert "notes.txt can't be read as a picture" in answer["seen"]["detection"]["broken"]["status"]


def test_nothing_comes_from_elsewhere(site: Path, answer: Any) -> None:
    hosts = {host for task in TASKS for host in answer["seen"][task]["hosts"]}
    assert len(hosts) == 1 and next(iter(hosts)).startswith("127.0.0.1:")
    policy = (site / "detection" / "index.html").read_text()
    assert "default-src 'self'" in policy
    for path in (site / "detection").glob("*.js"):
        assert not re.search(r"https?://(?!localhost)", path.read_text().replace("https:// or", "")), path


def test_the_folder_is_whole_and_never_overwritten(site: Path, models: dict[str, VisionModel]) -> None:
    assert {"index.html", "app.js", "model.onnx", "model.json"} < {
        p.name for p in (site / "detection").iterdir()
    }
    assert not [path for path in site.iterdir() if path.name.startswith(".")], "no leftovers"
    facts = json.loads((site / "detection" / "model.json").read_text())
    assert facts["class_names"] == ["cat", None, "dog", "owl"] and facts["licence"] == "Apache-2.0"
    with pytest.raises(InputError, match="exists already"):
        write_web_page(models["detection"], site / "detection")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--format and --output, or a page with --web"),
        (["--web", "out", "--format", "onnx"], "needs no --format"),
        (["--web", "out", "--nms", "--size", "dynamic"], "needs no --nms or --size"),
        (["--format", "onnx", "--output", "m.onnx", "--ort-dir", "."], "--ort-dir is for web pages"),
    ],
)
def test_conflicts_are_told(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), *arguments]) == 1  # type: ignore[func-returns-value]
    assert sentence in capsys.readouterr().err
