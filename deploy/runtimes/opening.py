"""The runtime for an exported file, by its suffix."""

from __future__ import annotations

from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.devices import CPU
from pocketvision.deploy.runtimes.protocol import Runtime


def open_runtime(path: str | Path, threads: int | None = None, device: str = CPU) -> Runtime:
    """The runtime for an exported file: .onnx, .xml (OpenVINO), .pt2, .tflite (LiteRT), .pte (ExecuTorch) or
    .param (ncnn).

    ``threads`` is the number of CPU threads for one pass, None the runtime's own choice; ``device`` is where
    it runs, "auto" the best that the runtime finds.

    Raises:
        InputError: there is no such file, nothing here runs it, it is broken or not ours, or there
            is no such device.
    """
    # Imported here: each needs this file.
    from pocketvision.deploy.runtimes.executorch_process import ExecuTorchRuntime
    from pocketvision.deploy.runtimes.litert_interpreter import LiteRtRuntime
    from pocketvision.deploy.runtimes.ncnn_net import NcnnRuntime
    from pocketvision.deploy.runtimes.onnx_session import OnnxRuntime
    from pocketvision.deploy.runtimes.openvino_model import OpenVinoRuntime
    from pocketvision.deploy.runtimes.pt2_program import Pt2Runtime

    path = Path(path)
    kinds: dict[str, type[Runtime]] = {
        ".onnx": OnnxRuntime, ".xml": OpenVinoRuntime, ".pt2": Pt2Runtime, ".tflite": LiteRtRuntime,
        ".pte": ExecuTorchRuntime, ".param": NcnnRuntime,
    }  # fmt: skip
    if path.suffix == ".mlpackage":
        raise InputError(
            f"{path} runs on Apple's systems only: give another format here; 'export --verify' checks it."
        )
    if path.suffix not in kinds:
        raise InputError(f"{path} is no model that can be run here: give {', '.join(kinds)}.")
    if not path.is_file():
        raise InputError(f"There is no exported model {path}: check the path.")
    return kinds[path.suffix](path, threads, device)  # type: ignore[call-arg, arg-type]
