"""Where a model runs: a device by its name, or the best that there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional

if TYPE_CHECKING:
    import torch

AUTO, CPU = "auto", "cpu"
_KNOWN = re.compile(r"auto|cpu|mps|gpu|cuda(:\d+)?")


def check_device(name: str) -> None:
    """Raise :class:`InputError` for what is no name of a device."""
    if not _KNOWN.fullmatch(name):
        raise InputError(f"There is no device '{name}': choose auto, cpu, cuda, cuda:1, mps or gpu.")


def torch_device(name: str) -> torch.device:
    """PyTorch's device: ``auto`` is CUDA's, else Apple's, else the CPU; ``gpu`` the first of these.

    Raises:
        InputError: this machine does not have it.
    """
    import torch

    check_device(name)
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == AUTO or (name == "gpu" and (has_cuda or has_mps)):
        return torch.device("cuda" if has_cuda else "mps" if has_mps else CPU)
    kind, _, number = name.partition(":")
    is_there = {CPU: True, "mps": has_mps, "gpu": False}.get(kind, has_cuda)
    if not is_there or int(number or 0) >= max(1, torch.cuda.device_count()):
        raise InputError(f"PyTorch finds no device '{name}' here: choose auto or cpu.")
    return torch.device(name)


def onnx_providers(name: str) -> list[Any]:
    """ONNX Runtime's providers in order: CUDA's where it is asked for, or there is one, and the CPU's.

    Raises:
        InputError: this onnxruntime does not have it.
    """
    check_device(name)
    kind, _, number = name.partition(":")
    has_cuda = "CUDAExecutionProvider" in optional("onnxruntime").get_available_providers()
    if kind in ("cuda", "gpu") and not has_cuda:
        raise InputError(
            f"This onnxruntime can't run on '{name}': install onnxruntime-gpu in its place, or choose cpu."
        )
    if kind == "mps":
        raise InputError("ONNX Runtime has no device 'mps': choose auto or cpu.")
    on_cuda = has_cuda and kind != CPU
    cuda = [("CUDAExecutionProvider", {"device_id": int(number or 0)})] if on_cuda else []
    return [*cuda, "CPUExecutionProvider"]


def openvino_device(name: str) -> str:
    """OpenVINO's device: Intel's GPU where it is asked for, else the CPU, which ``auto`` is too.

    Raises:
        InputError: OpenVINO does not find it.
    """
    check_device(name)
    if name in (AUTO, CPU):
        return "CPU"
    found = optional("openvino").Core().available_devices
    if name != "gpu" or not any(device.startswith("GPU") for device in found):
        raise InputError(f"OpenVINO finds no device '{name}' here, but {', '.join(found)}: choose cpu.")
    return "GPU"
