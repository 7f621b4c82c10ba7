"""Covers deploy/packages.py.

Nothing calls home: exporting, quantizing and predicting need no network, and no package tells of its use.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Exported = Callable[..., Path]

# Not in pytest's own process: NNCF is silent there by itself.
CALLS = """
import os, socket, sys
for name in ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV"):
    os.environ.pop(name, None)
calls = []

def refused(*arguments, **options):
    calls.append(arguments[:2])
    raise OSError("no network here")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refused
import torch
from pathlib import Path
from pocketvision.deploy.export.openvino_quantization import OpenVinoQuantizer
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.export.to_onnx import make_onnx
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.runs.ready_model import load_model

weights, folder = sys.argv[1:]
model = load_model(weights)
for format, suffix in (("onnx", ".onnx"), ("openvino", ".xml"), ("pt2", ".pt2")):
    path = export_model(model, format, Path(folder) / f"m{suffix}", ExportOptions())
    Predictor.load(path)(torch.zeros(40, 50, 3, dtype=torch.uint8).numpy())
raw = make_onnx(make_graph(model), plan_artifact(model, ExportOptions()))
OpenVinoQuantizer(raw, torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).quantized(())
import threading, time
time.sleep(1)
senders = [t.name for t in threading.enumerate() if "telemetry" in str(getattr(t, "_target", "")).lower()]
assert not calls and not senders, (calls, senders)
assert sys.modules.get("openvino_telemetry") is None
"""


def test_export_and_predict_call_nobody(tmp_path: Path) -> None:
    pytest.importorskip("openvino_telemetry")
    weights = tmp_path / "w.safetensors"
    make = """
import sys
from pathlib import Path
from pocketvision.configs.classifier_v2_imagenet import config
from pocketvision.core.weights import save_weights
from pocketvision.runs.passport import make_passport
from functools import partial
from dataclasses import replace
config = replace(config, model=partial(config.model, width_mult=0.35, image_size=(64, 64), weights=None))
model = config.model(("a", "b"))
save_weights(Path(sys.argv[1]), model, make_passport(model, config))
"""
    for code, arguments in ((make, (weights,)), (CALLS, (weights, tmp_path))):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
