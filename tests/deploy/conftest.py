"""Tiny models of every task, and their exports, made once."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.configs import street_v2
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.deploy.converters.environment import Converters, converter_python, known_converters
from pocketvision.deploy.export.onnxruntime_web import onnxruntime_web_files
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, JointModel, Segmenter, SSDPostprocess, VisionModel

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
TIMEOUT_S = 300
NAMES = ("cat", None, "dog", "owl")
SIZE = (64, 80)


def backbone(*features: str) -> nn.Module:
    """Cut early: exporting takes time for every layer."""
    return mobilenet_v3_small(width_mult=0.35, out_features=features, padding="same")


def make_detector() -> Detector:
    detector = Detector(
        backbone("c1", "c2"),
        SSDLiteHead,
        NAMES,
        Resize(SIZE),
        TensorFlowAnchors(),
        SSDPostprocess(max_detections=50, candidates_per_class=100),
    )
    for block in detector.head.class_blocks:
        block[1].weight.data *= 60  # so that scores differ
    return detector


def make_segmenter() -> Segmenter:
    head = partial(LRASPPHead, channels=8, low=("c1",), high="c2")
    segmenter = Segmenter(backbone("c1", "c2"), head, NAMES, Resize(SIZE, mode="letterbox"))
    segmenter.head.high_logits.weight.data *= 30
    return segmenter


def make_classifier() -> Classifier:
    resize = Resize(SIZE, mode="crop")
    classifier = Classifier(backbone("c2"), partial(ClassifierHead, feature="c2"), NAMES, resize)
    classifier.head.class_logits.weight.data *= 30
    return classifier


MAKERS: dict[str, Callable[[], VisionModel]] = {
    "detection": make_detector,
    "segmentation": make_segmenter,
    "classification": make_classifier,
}
Exported = Callable[..., Path]


@pytest.fixture(scope="session")
def models(as_trained: Callable[[nn.Module], nn.Module]) -> dict[str, VisionModel]:
    torch.manual_seed(0)
    made: dict[str, VisionModel] = {
        task: as_trained(make())  # type: ignore[misc]
        for task, make in MAKERS.items()
    }
    head = made["segmentation"].head
    with torch.no_grad():  # every class is somewhere the best
        head.high_logits.bias -= made["segmentation"](_images()).mean((0, 2, 3))
    return made


@pytest.fixture(scope="session")
def converters() -> Converters:
    """Those of this machine: nothing of 7 GB is installed for a test."""
    found = known_converters()
    try:
        converter_python(found)
    except InputError:
        pytest.skip("no converters here: 'pocketvision export --format litert --yes' makes them")
    return found


@pytest.fixture(scope="session")
def images() -> Tensor:
    return _images()


def _images() -> Tensor:
    """Noise of several scales."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 4, 5, generator=generator)
    fine = torch.rand(4, 3, *SIZE, generator=generator)
    return ((F.interpolate(coarse, SIZE) + fine) * 127).to(torch.uint8)


@pytest.fixture(scope="session")
def exported(models: dict[str, VisionModel], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """``exported(task, format, **options)`` is the file of a model, exported at its first use."""
    folder = tmp_path_factory.mktemp("exported")

    def export(task: str, format: str, **options: object) -> Path:
        words = "_".join([task, *(f"{key}_{value}" for key, value in options.items())])
        path = folder / format / f"{words}{FORMATS[format].suffix}"  # two formats have weights in a .bin
        if not path.exists():
            settings = ExportOptions(source="test", licence="Apache-2.0", **options)  # type: ignore[arg-type]
            assert export_model(models[task], format, path, settings) == path
        return path

    return export


@pytest.fixture(scope="session")
def onnxruntime_web() -> None:
    """Skips a test where it can't be had."""
    try:
        onnxruntime_web_files()
    except InputError as error:
        pytest.skip(f"onnxruntime-web can't be had here: {error}")


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, as ``python -m http.server`` serves them; what is posted goes into ``reports``.

    After a post to ``/stop`` no file is served any more.
    """

    def __init__(self, *arguments: Any, reports: queue.Queue[Any], isolates: bool, **options: Any) -> None:
        self.reports, self.isolates = reports, isolates
        super().__init__(*arguments, **options)

    def end_headers(self) -> None:
        if self.isolates:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_GET(self) -> None:
        if getattr(self.server, "is_stopped", False):
            self.close_connection = True  # without an answer, as where there is no network
        else:
            super().do_GET()

    def do_POST(self) -> None:
        answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/stop":
            self.server.is_stopped = True  # type: ignore[attr-defined]
        else:
            self.reports.put(answer)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path, isolates: bool) -> Iterator[tuple[str, queue.Queue[Any]]]:
    """The address at which ``folder`` is served, and what pages post to it."""
    reports: queue.Queue[Any] = queue.Queue()
    handler = partial(Handler, directory=str(folder), reports=reports, isolates=isolates)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", reports
        finally:
            server.shutdown()
            thread.join()


def _visit(folder: Path, page: str, isolates: bool = False, flags: Sequence[str] = ()) -> Any:
    assert CHROMIUM is not None
    with (
        served(folder, isolates) as (address, reports),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own,
    ):
        command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={own}", f"{address}/{page}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            answer = reports.get(timeout=TIMEOUT_S)
        finally:
            process.terminate()
            process.wait()
    assert "error" not in answer, answer["error"]
    return answer


@pytest.fixture(scope="session")
def visit() -> Callable[..., Any]:
    """Opens a page of a folder in Chromium, which finds no other host, and returns what it posts."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return _visit


@pytest.fixture(scope="session")
def street(as_trained: Callable[[nn.Module], nn.Module]) -> JointModel:
    """A model of two tasks: cats and owls, and a map of twelve classes."""
    names = ("detection/cat", "detection/owl", *(f"segmentation/{number}" for number in range(12)))
    torch.manual_seed(0)
    model = as_trained(street_v2.model(names, image_size=(64, 96), weights=None))
    assert isinstance(model, JointModel)
    return model


ALONE = """
import runpy, sys
for name in ("torch", "pocketvision", "cv2", "torchvision"):
    sys.modules[name] = None
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def run_client() -> Callable[..., Any]:
    """What a client in a folder prints, started where PyTorch and this package can't be imported."""

    def run(folder: Path, *arguments: str) -> Any:
        command = [sys.executable, "-c", ALONE, str(folder / "predict.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
