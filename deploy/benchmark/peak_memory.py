"""The peak memory of one pass of a model, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

_STATUS = Path("/proc/self/status")
_PASSES = 3
_TIMEOUT = 300


def peak_memory(
    source: VisionModel | Path, batch: int, image_size: tuple[int, int], threads: int
) -> int | None:
    """Bytes by which the peak of a fresh process grows from after its imports to after a few passes.

    It is Linux's ``VmHWM``: weights, the runtime itself and what it needs in between. None on other
    systems, for models with code of their own that another process can't import, and for .pte files, which
    run in a process of their own.
    """
    if not _STATUS.is_file() or (isinstance(source, Path) and source.suffix == ".pte"):
        return None
    with tempfile.TemporaryDirectory(prefix="pocketvision-memory-") as folder:
        path = source.resolve() if isinstance(source, Path) else Path(folder) / "graph.pt"
        if not isinstance(source, Path):
            try:
                torch.save(make_graph(source), path)
            except Exception:  # pickle has no common class for what it can't save
                return None
        arguments = [str(path), *map(str, (batch, *image_size, threads))]
        command = [sys.executable, "-m", "pocketvision.deploy.benchmark.peak_memory", *arguments]
        try:
            # Not in the user's folder, whose files could be imported in place of packages.
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT, check=True, cwd=folder
            )
        except (subprocess.SubprocessError, OSError):
            return None
    return int(done.stdout.split()[-1])


def _measure(path: Path, batch: int, height: int, width: int, threads: int) -> int:
    torch.set_num_threads(threads)
    images = torch.zeros(batch, 3, height, width, dtype=torch.uint8)
    before = _peak()
    if path.suffix == ".pt":
        graph = torch.load(path, weights_only=False)  # of the process that started this one
        graph.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            for _ in range(_PASSES):
                graph(images.contiguous(memory_format=torch.channels_last))
    else:
        runtime = open_runtime(path, threads)
        for _ in range(_PASSES):
            runtime(images)
    return _peak() - before


def _peak() -> int:
    """Not ``getrusage``: its peak is inherited from the process that started this one."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), *map(int, sys.argv[2:])))
