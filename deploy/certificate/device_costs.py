"""What a model costs in PyTorch and as an exported file: time, bytes on disk, memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pocketvision.deploy.benchmark.latency import Measurement, Subject, benchmark
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

THREADS = 2
ROUNDS = 20


class Costs(NamedTuple):
    """What was measured of both; ``num_weight_bytes`` is the size of PyTorch's weights."""

    torch: Measurement
    artifact: Measurement
    num_weight_bytes: int


def measure(model: VisionModel, path: Path) -> Costs:
    """Latency of both in turn, sizes, and memory, each in a process of its own."""
    subjects = [Subject("torch", model), Subject("artifact", path)]
    batches = [open_runtime(path).artifact.batch or 1]
    ours, theirs = benchmark(subjects, ["torch"], [THREADS], batches, ROUNDS, path.parent, with_memory=True)
    weights = [*model.parameters(), *model.buffers()]
    return Costs(ours, theirs, sum(tensor.numel() * tensor.element_size() for tensor in weights))
