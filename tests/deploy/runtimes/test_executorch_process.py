"""Covers deploy/converters/executorch_script.py, deploy/export/to_executorch.py,
deploy/runtimes/executorch_server.py.

ExecuTorch files: made and run by the real converter where it is there, else refused in a sentence.
"""

from __future__ import annotations

import gc
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.certificate.stages import Reference
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.executorch_script import _becomes_int8
from pocketvision.deploy.export.sensitivity import relative_error
from pocketvision.deploy.export.to_executorch import ExecuTorchQuantizer
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.appended import append_metadata
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.executorch_process import ExecuTorchRuntime
from pocketvision.deploy.runtimes.executorch_server import receive, send
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

pytestmark = pytest.mark.slow

BEGINNING = b"\0\0\0\0ET12"


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("detection", ExportOptions()),
        ("segmentation", ExportOptions(label_map=True, input_type="float", batch=2)),
    ],
)
def test_it_answers_as_pytorch(
    task: str,
    options: ExportOptions,
    models: dict[str, VisionModel],
    images: Tensor,
    converters: Converters,
    tmp_path: Path,
) -> None:
    path = export_model(models[task], "executorch", tmp_path / "m.pte", options, converters)
    runtime = open_runtime(path, threads=1)
    assert isinstance(runtime, ExecuTorchRuntime) and runtime.artifact.batch == (options.batch or 1)
    expected = Reference(models[task], label_map=options.label_map)(images[:3])
    for name, output in runtime(images[:3]).items():
        if options.label_map:
            assert (output == expected[name]).float().mean() > 0.995
        else:
            torch.testing.assert_close(output, expected[name], atol=1e-3, rtol=1e-3)
    assert Predictor.load(path)(images[0].permute(1, 2, 0).numpy()) is not None
    process = runtime.process
    del runtime, output
    gc.collect()
    assert process.poll() is not None, "it ends with the runtime"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m.pte can't be opened \(its bytes have changed"):
        open_runtime(path)


def test_int8_but_for_blocks(
    models: dict[str, VisionModel], images: Tensor, converters: Converters, tmp_path: Path
) -> None:
    model = models["detection"]
    artifact = replace(describe(model), batch=1)
    quantizer = ExecuTorchQuantizer(make_graph(model), artifact, images, converter_python(converters))
    expected = Reference(model, label_map=False)(images)
    errors = []
    for kept in ((), tuple(quantizer.weights)):
        quantizer.save(quantizer.quantized(kept), artifact, tmp_path / "m.pte")
        found = open_runtime(tmp_path / "m.pte")(images)
        errors.append({name: relative_error([value], [expected[name]]) for name, value in found.items()})
    for name, error in errors[0].items():
        assert errors[1][name] < error < 0.35, "sums between blocks are int8 in both"


class Node:
    """A node of a PyTorch program."""

    def __init__(self, target: str, *inputs: Node, op: str = "call_function") -> None:
        self.target, self.all_input_nodes, self.op = target, inputs, op


def test_what_stays_float32() -> None:
    weight = Node("head.0.weight", op="get_attr")
    conv = Node("aten.conv2d.default", weight)
    assert _becomes_int8(conv, set()) and not _becomes_int8(conv, {"head.0.weight"})  # type: ignore[arg-type]
    assert not _becomes_int8(Node("aten.cat.default", conv), set())  # type: ignore[arg-type]
    shares = Node("aten.softmax.int", conv)
    assert not _becomes_int8(Node("aten.mul.Tensor", shares, weight), set())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is no ExecuTorch ET12 file"),
        (b"no model", "it is no ExecuTorch ET12 file"),
        (b"\0\0\0\0ET13" + bytes(64), "it is no ExecuTorch ET12 file"),
        (b"PK\x05\x06" + bytes(18), "was not exported by pocketvision"),
        (BEGINNING + bytes(64), "was not exported by pocketvision"),
    ],
)
def test_what_is_not_ours_broken_or_of_another_version(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "m.pte").write_bytes(content)
    with pytest.raises(InputError, match=rf"m.pte .*{sentence}"):
        open_runtime(tmp_path / "m.pte")


@pytest.fixture
def of_ours(models: dict[str, VisionModel], tmp_path: Path) -> Path:
    """A file with our metadata, and no program that ExecuTorch would take."""
    append_metadata(BEGINNING + bytes(64), describe(models["detection"]), tmp_path / "m.pte")
    return tmp_path / "m.pte"


def test_no_program(of_ours: Path, converters: Converters) -> None:
    with pytest.raises(InputError, match=r"m.pte can't be opened \(Failed to load program"):
        open_runtime(of_ours)


def test_no_environment(of_ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "none"))
    monkeypatch.delenv("POCKETVISION_CONVERTER_PYTHON", raising=False)
    with pytest.raises(InputError, match=r"m.pte is run by ExecuTorch in the converters' environment, which"):
        open_runtime(of_ours)


def test_a_python_without_executorch(of_ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETVISION_CONVERTER_PYTHON", sys.executable)
    with pytest.raises(InputError, match=r"m.pte can't be opened \(No module named 'executorch'"):
        open_runtime(of_ours)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("#!/bin/sh\necho out of memory >&2\nexit 3\n", "ended with code 3: out of memory"),
        ("no program", "can't be run .*: check POCKETVISION_CONVERTER_PYTHON"),
    ],
)
def test_a_process_that_ends(
    script: str, sentence: str, of_ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(script)
    python.chmod(0o755)
    monkeypatch.setenv("POCKETVISION_CONVERTER_PYTHON", str(python))
    with pytest.raises(InputError, match=sentence):
        open_runtime(of_ours)


def test_another_device(of_ours: Path) -> None:
    with pytest.raises(InputError, match="ExecuTorch runs on the CPU here, not on 'cuda'"):
        open_runtime(of_ours, device="cuda")


def test_messages() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    pipe = io.BytesIO()
    send(pipe, {"outputs": [{"shape": [3, 4], "dtype": "float32"}]}, values.data)
    send(pipe, {"bytes": 2}, b"ab")
    whole = pipe.getvalue()
    pipe.seek(0)
    assert receive(pipe)[1] == values.tobytes() and receive(pipe) == ({"bytes": 2}, b"ab")
    for end in (0, 5, len(whole) - 1):
        pipe = io.BytesIO(whole[:end])
        with pytest.raises(EOFError, match="the process has ended"):
            for _ in range(2):
                receive(pipe)
