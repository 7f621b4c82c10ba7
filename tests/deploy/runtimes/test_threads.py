"""Covers deploy/runtimes/protocol.py.

Threads may share a runtime: each gets the answer to its own images.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import VisionModel

Exported = Callable[..., Path]
NUM_THREADS, NUM_CALLS = 8, 48


@pytest.mark.parametrize("format", ["torch", "onnx", "openvino", "pt2"])
def test_eight_threads(format: str, exported: Exported, models: dict[str, VisionModel]) -> None:
    runtime: Runtime
    if format == "torch":
        runtime = TorchRuntime(models["classification"])
    else:
        runtime = open_runtime(exported("classification", format))
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_THREADS, 1, 3, *runtime.artifact.image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    expected = [runtime(image)["class_logits"].clone() for image in images]
    assert (expected[0] - expected[1]).abs().max() > 1e-3

    def ask(call: int) -> bool:
        found = runtime(images[call % NUM_THREADS])["class_logits"]
        return torch.allclose(found, expected[call % NUM_THREADS], atol=1e-5)

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        assert all(threads.map(ask, range(NUM_CALLS)))
