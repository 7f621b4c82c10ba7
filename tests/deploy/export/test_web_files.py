"""The module of the web page in somebody's own page, in int8 and on WebGPU; the page without a network."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from pocketvision.deploy.export.onnxruntime_web import DEVICES
from pocketvision.deploy.export.to_int8 import export_int8
from pocketvision.deploy.export.to_web import write_web_page
from pocketvision.deploy.export.web_files import fill_service_worker, module_text, write_static_files
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.onnx_session import OnnxRuntime
from pocketvision.models import VisionModel

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
KEPT = re.compile(r"const PAGE = (\{.*\});")


@pytest.fixture(scope="module")
def site(
    onnxruntime_web: None,
    models: dict[str, VisionModel],
    images: Tensor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A detector's page, a segmenter's in int8, and a guest's."""
    root = tmp_path_factory.mktemp("site")
    write_web_page(models["detection"], root / "detector")
    segmenter = models["segmentation"]
    in_int8 = partial(_write_int8, segmenter, images)
    write_web_page(segmenter, root / "segmenter", write_int8=in_int8)
    picture = cv2.resize(images[0].permute(1, 2, 0).numpy(), (150, 97))
    assert cv2.imwrite(str(root / "picture.png"), picture)
    shutil.copy(HERE / "web_guest.html", root)
    return root


def _write_int8(model: VisionModel, images: Tensor, output: Path, options: Any) -> None:
    export_int8(model, "onnx", output, images, options)


@pytest.fixture(scope="module")
def answer(site: Path, visit: Callable[..., Any]) -> Any:
    return visit(site, "web_guest.html?wasm")


def python(site: Path, name: str) -> Any:
    predictor = Predictor(OnnxRuntime(site / name / "model.onnx"), threshold=0.0)
    return predictor(site / "picture.png")


def check_boxes(site: Path, found: list[Any], tolerance: float) -> None:
    right = python(site, "detector")
    assert [box["name"] for box in found] == list(right.names)
    np.testing.assert_allclose([box["score"] for box in found], right.scores, atol=tolerance)
    np.testing.assert_allclose([box["box"] for box in found], right.boxes, atol=100 * tolerance)


def test_an_own_page_gets_pythons_boxes(site: Path, answer: Any) -> None:
    own = answer["detector"]
    check_boxes(site, own["boxes"], 1e-4)
    assert own["agrees"], "of an image, an address and a blob"
    assert own["numBest"] == sum(box["score"] > 0.5 for box in own["boxes"])
    assert own["unknown"] == 'This model can\'t run on "abacus": choose from webgpu, wasm, auto.'


def test_int8_gives_pythons_labels_on_webassembly(site: Path, answer: Any) -> None:
    own, right = answer["segmenter"], python(site, "segmenter").label_map
    labels = own["labels"]
    found = np.reshape(labels["data"], (labels["height"], labels["width"]))
    assert found.shape == right.shape and len(np.unique(right)) > 1
    assert (found == right).mean() >= 0.99  # a rounded activation may be the next one
    assert own["wrong"] == "detect() is for detection: this model is for segmentation."
    assert own["about"]["device"] == "wasm"
    assert own["about"]["bytes"] == (site / "segmenter" / "model.onnx").stat().st_size
    facts = json.loads((site / "segmenter" / "model.json").read_text())
    assert facts["int8"] and facts["devices"] == ["wasm"]
    assert not (site / "segmenter" / DEVICES["webgpu"][0]).exists()


def test_webgpu_gives_pythons_boxes(site: Path, visit: Callable[..., Any]) -> None:
    own = visit(site, "web_guest.html?webgpu", flags=SOFTWARE_WEBGPU)["detector"]
    assert own["about"]["device"] == "webgpu"
    check_boxes(site, own["boxes"], 1e-3)


def test_the_page_works_without_a_network_and_isolated_for_threads(answer: Any) -> None:
    visits = answer["visits"]
    assert visits["isGone"]
    assert "WebAssembly · warm-up" in visits["online"]
    assert re.search(r"WebAssembly.* · warm-up", visits["offline"])
    assert visits["isolation"] == "require-corp"
    assert len(visits["caches"]) == 1


def test_the_module_is_one_file() -> None:
    text = module_text()
    assert not re.search(r"^import ", text, re.MULTILINE)
    names = re.findall(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert "export async function openModel" in text


def test_what_is_kept_is_there_and_a_change_is_noticed(tmp_path: Path) -> None:
    versions = []
    for model in (b"one", b"other"):
        folder = tmp_path / model.decode()
        folder.mkdir()
        write_static_files(folder)
        (folder / "model.onnx").write_bytes(model)
        (folder / "model.sensitivity.json").write_text("{}")
        (folder / "ort.wasm").write_bytes(b"")
        fill_service_worker(folder, ["ort.wasm"])
        page = json.loads(KEPT.findall((folder / "service_worker.js").read_text())[0])
        there = {path.name for path in folder.iterdir()}
        assert set(page["files"]) == {"./"} | there - {
            "service_worker.js", "model.sensitivity.json", "ort.wasm"
        }  # fmt: skip
        assert page["later"] == ["ort.wasm"]
        versions.append(page["version"])
    assert versions[0] != versions[1]


def test_the_page_can_be_installed(tmp_path: Path) -> None:
    write_static_files(tmp_path)
    manifest = json.loads((tmp_path / "manifest.webmanifest").read_text())
    assert manifest["start_url"] == manifest["scope"] == "./" and manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        if icon["type"] == "image/png":
            with Image.open(tmp_path / icon["src"]) as picture:
                assert "x".join(map(str, picture.size)) == icon["sizes"]
    assert 'rel="manifest" href="manifest.webmanifest"' in (tmp_path / "index.html").read_text()
