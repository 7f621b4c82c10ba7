"""Say what is installed and what this machine has, to paste into an issue: python tools/doctor.py"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Sequence

from pocketvision.core.command import command

PACKAGES = (
    "pocketvision", "torch", "torchvision", "lightning", "numpy", "opencv-python-headless", "pillow",
    "albumentations", "pycocotools", "safetensors",
)  # fmt: skip
RUNTIMES = ("onnx", "onnxruntime", "openvino", "nncf", "ai-edge-litert", "ncnn", "pnnx", "huggingface_hub")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="pocketvision doctor",
        description="Print versions, threads, accelerators and runtimes, to paste into an issue. No paths, "
        "names or settings of yours are in it.",
    )
    parser.parse_args(argv)
    for name, value in facts():
        print(f"{name:<24} {value}")


def facts() -> Iterator[tuple[str, str]]:
    """What is said, in its order: name, value."""
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "python", f"{platform.python_implementation()} {platform.python_version()}"
    for name in (*PACKAGES, *RUNTIMES):
        yield name, _version(name)
    yield "CPU cores", str(os.cpu_count())
    yield from _torch_facts()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _torch_facts() -> Iterator[tuple[str, str]]:
    """Threads and accelerators, as PyTorch sees them; a PyTorch that does not start is said, too."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield "PyTorch starts", f"no: {' '.join(str(error).split())[:200]}"
        return
    yield "threads of PyTorch", str(torch.get_num_threads())
    yield "CUDA of PyTorch", torch.version.cuda or "none"
    count = torch.cuda.device_count()
    for index in range(count):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        yield f"GPU {index}", f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
    if not count:
        yield "GPUs", "none that PyTorch can use"
    yield "Apple's GPU", "yes" if torch.backends.mps.is_available() else "no"


if __name__ == "__main__":
    sys.exit(main())
