"""The runtime for an exported file, by its suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.later import Later
from pocketvision.deploy.runtimes.devices import CPU
from pocketvision.deploy.runtimes.protocol import Runtime

_KINDS: dict[str, Any] = {
    ".onnx": Later("pocketvision.deploy.runtimes.onnx_session", "OnnxRuntime"),
    ".xml": Later("pocketvision.deploy.runtimes.openvino_model", "OpenVinoRuntime"),
    ".pt2": Later("pocketvision.deploy.runtimes.pt2_program", "Pt2Runtime"),
    ".tflite": Later("pocketvision.deploy.runtimes.litert_interpreter", "LiteRtRuntime"),
    ".pte": Later("pocketvision.deploy.runtimes.executorch_process", "ExecuTorchRuntime"),
    ".param": Later("pocketvision.deploy.runtimes.ncnn_net", "NcnnRuntime"),
}
"""Suffix -> runtime; only .pt2 needs PyTorch."""


def open_runtime(path: str | Path, threads: int | None = None, device: str = CPU) -> Runtime:
    """The runtime for an exported file: .onnx, .xml (OpenVINO), .pt2, .tflite (LiteRT), .pte (ExecuTorch) or
    .param (ncnn).

    ``threads`` is the number of CPU threads for one pass, None the runtime's own choice; ``device`` is where
    it runs, "auto" the best that the runtime finds.

    Raises:
        InputError: there is no such file, nothing here runs it, it is broken or not ours, or there
            is no such device.
    """
    path = Path(path)
    if path.suffix == ".mlpackage":
        raise InputError(
            f"{path} runs on Apple's systems only: give another format here; 'export --verify' checks it."
        )
    if path.suffix not in _KINDS:
        raise InputError(f"{path} is no model that can be run here: give {', '.join(_KINDS)}.")
    if not path.is_file():
        raise InputError(f"There is no exported model {path}: check the path.")
    runtime: Runtime = _KINDS[path.suffix](path, threads, device)
    return runtime
