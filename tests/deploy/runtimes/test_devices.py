"""A device is chosen by name, or the best that there is; one that is not there is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes import devices
from pocketvision.deploy.runtimes.devices import onnx_providers, openvino_device, torch_device
from pocketvision.deploy.runtimes.onnx_session import OnnxRuntime


def machine(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    providers = ["CUDAExecutionProvider"] * (cuda > 0) + ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)


@pytest.mark.parametrize(
    ("cuda", "mps", "name", "expected"),
    [
        (0, False, "auto", "cpu"),
        (0, False, "cpu", "cpu"),
        (0, True, "auto", "mps"),
        (0, True, "gpu", "mps"),
        (2, False, "auto", "cuda"),
        (2, False, "gpu", "cuda"),
        (2, False, "cuda:1", "cuda:1"),
        (2, True, "cpu", "cpu"),
    ],
)
def test_pytorch(cuda: int, mps: bool, name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda, mps)
    assert torch_device(name) == torch.device(expected)


@pytest.mark.parametrize(("cuda", "name"), [(0, "cuda"), (0, "gpu"), (0, "mps"), (1, "cuda:1")])
def test_what_pytorch_does_not_find(cuda: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda)
    with pytest.raises(InputError, match=f"PyTorch finds no device '{name}' here: choose auto or cpu"):
        torch_device(name)


def test_a_device_of_pytorch_s_is_taken_as_its_name(tmp_path: Path) -> None:
    """torch.device("cpu") was a TypeError, as was a number."""
    for device in (torch.device("cpu"), torch.device("cuda", 0)):
        with pytest.raises(InputError, match=r"nothing|There is no"):
            Predictor.load(tmp_path / "none.onnx", device=device)
    with pytest.raises(InputError, match="There is no device '3'"):
        Predictor.load(tmp_path / "none.onnx", device=3)  # type: ignore[arg-type]


def test_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    assert onnx_providers("auto") == onnx_providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(InputError, match="can't run on 'cuda': install onnxruntime-gpu"):
        onnx_providers("cuda")
    with pytest.raises(InputError, match="no device 'mps'"):
        onnx_providers("mps")
    machine(monkeypatch, cuda=2)
    assert onnx_providers("auto")[0] == ("CUDAExecutionProvider", {"device_id": 0})
    assert onnx_providers("cuda:1")[0] == ("CUDAExecutionProvider", {"device_id": 1})
    assert onnx_providers("cpu") == ["CPUExecutionProvider"]


def test_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_devices(*names: str) -> None:
        core = SimpleNamespace(available_devices=names)
        monkeypatch.setattr(devices, "optional", lambda name: SimpleNamespace(Core=lambda: core))

    with_devices("CPU")
    assert openvino_device("auto") == openvino_device("cpu") == "CPU"
    for name in ("gpu", "cuda"):
        with pytest.raises(InputError, match=f"OpenVINO finds no device '{name}' here, but CPU: choose cpu"):
            openvino_device(name)
    with_devices("CPU", "GPU.0", "GPU.1")
    assert openvino_device("gpu") == "GPU" and openvino_device("auto") == "CPU"


@pytest.mark.parametrize("name", ["tpu", "", "cuda:x", "CPU "])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InputError, match="There is no device"):
        torch_device(name)


def test_a_provider_that_does_not_start_is_no_silent_cpu(
    exported: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The package may have been built with CUDA where there is no driver."""
    asked = [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]
    monkeypatch.setattr("pocketvision.deploy.runtimes.onnx_session.onnx_providers", lambda name: asked)
    file = exported("detection", "onnx")
    with pytest.raises(InputError, match=r"ONNX Runtime can't use 'cuda'|can't be opened"):
        OnnxRuntime(file, device="cuda")
    assert OnnxRuntime(file, device="auto").session.get_providers() == ["CPUExecutionProvider"]
    assert not capfd.readouterr().out
