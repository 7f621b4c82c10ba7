"""What a model costs in PyTorch and as an exported file: time, bytes on disk, memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pocketvision.deploy.benchmark.latency import Measurement, Subject, benchmark
from pocketvision.deploy.export.to_file import written_files
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

THREADS = 2
_ROUNDS, _SECONDS = 20, 30.0
"""Where other work keeps a core busy, threads wait for each other, and a call can take many seconds."""


class Costs(NamedTuple):
    """What was measured of both: ``artifact`` is None where the file can't be run here.

    ``num_weight_bytes`` is the size of PyTorch's weights, ``num_file_bytes`` that of the file.
    """

    torch: Measurement
    artifact: Measurement | None
    num_weight_bytes: int
    num_file_bytes: int


def measure(model: VisionModel, path: Path) -> Costs:
    """Latency of both in turn, sizes, and memory, each in a process of its own."""
    subjects, batches = [Subject("torch", model)], [1]
    if path.is_file():  # a package is a folder, and can't be run here
        subjects, batches = [*subjects, Subject("artifact", path)], [open_runtime(path).artifact.batch or 1]
    ours, *theirs = benchmark(
        subjects, ["torch"], [THREADS], batches, _ROUNDS, path.parent, with_memory=True, seconds=_SECONDS
    )
    weights = [*model.parameters(), *model.buffers()]
    return Costs(
        ours,
        theirs[0] if theirs else None,
        sum(tensor.numel() * tensor.element_size() for tensor in weights),
        sum(file.stat().st_size for file in written_files(path)),
    )
