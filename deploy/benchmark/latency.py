"""How fast models are on this machine: every backend, number of threads and batch size in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pocketvision.core.progress import track
from pocketvision.core.structures import Size
from pocketvision.deploy.benchmark.peak_memory import peak_memory
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.formats import FORMATS
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import VisionModel

_WARM_UP, _LEAST = 2, 3


class Subject(NamedTuple):
    """What is measured: a model, or the path of an exported one; ``name`` is for the reader.

    ``image_size`` (height, width) is for a file that takes any size; None stands for the source's own.
    """

    name: str
    source: VisionModel | Path
    image_size: Size | None = None


@dataclass(frozen=True)
class Measurement:
    """Seconds of one call of a runtime on ``batch_size`` images, from pixels to raw outputs.

    ``cold_start`` is the time from the file (for torch: the model) to the first answer; nine of ten calls
    stay below ``p90``. ``num_bytes`` is the size of the file, None for torch. ``peak_memory`` is by how
    many bytes the peak of a fresh process grew (:func:`peak_memory`), None where it was not measured.
    ``num_calls`` were timed.
    """

    name: str
    backend: str
    threads: int
    batch_size: int
    image_size: Size
    cold_start: float
    median: float
    p90: float
    num_bytes: int | None
    peak_memory: int | None = None
    num_calls: int = 1

    @property
    def images_per_second(self) -> float:
        return self.batch_size / self.median


class _Candidate(NamedTuple):
    subject: Subject
    backend: str
    path: Path | None
    threads: int
    batch_size: int
    image_size: Size
    cold_start: float
    num_bytes: int | None
    call: Callable[[], object]


def benchmark(
    subjects: Sequence[Subject],
    backends: Sequence[str],
    threads: Sequence[int],
    batch_sizes: Sequence[int],
    rounds: int,
    folder: Path,
    *,
    with_memory: bool = False,
    seconds: float = math.inf,
) -> list[Measurement]:
    """Measure every combination; models are exported to ``folder``, exported files run as they are.

    In each of the ``rounds`` every candidate has its turn: what else the machine does meets all alike. After
    ``seconds`` of them no round begins, but three are always timed.
    ``with_memory`` runs each once more, in a process of its own.

    Raises:
        InputError: a package is missing, a file is broken, or a model can't be exported.
    """
    before = torch.get_num_threads()
    try:
        candidates = [
            _prepare(subject, backend, *setting)
            for number, subject in enumerate(track(subjects, len(subjects), "preparing", "models"))
            for backend, path in _forms(subject, backends, folder / str(number))
            for setting in product([path], threads, batch_sizes)
        ]
        times = _take_turns(candidates, rounds, seconds)
    finally:
        torch.set_num_threads(before)
    return [
        _summary(candidate, taken, _memory(candidate) if with_memory else None)
        for candidate, taken in zip(candidates, times, strict=True)
    ]


def _take_turns(candidates: Sequence[_Candidate], rounds: int, seconds: float) -> list[list[float]]:
    """Seconds of every call of each candidate, without those that warm up."""
    times: list[list[float]] = [[] for _ in candidates]
    end = time.perf_counter() + seconds
    for number in track(range(_WARM_UP + rounds), _WARM_UP + rounds, "timing", "rounds"):
        if number >= _WARM_UP + _LEAST and time.perf_counter() > end:
            break
        for candidate, taken in zip(candidates, times, strict=True):
            torch.set_num_threads(candidate.threads)
            start = time.perf_counter()
            candidate.call()
            if number >= _WARM_UP:
                taken.append(time.perf_counter() - start)
    return times


def _forms(subject: Subject, backends: Sequence[str], stem: Path) -> list[tuple[str, Path | None]]:
    """Backend and file of each form in which a subject runs; ``stem`` is what exports are called."""
    if isinstance(subject.source, Path):
        (backend,) = (name for name in FORMATS if FORMATS[name].suffix == subject.source.suffix)
        return [(backend, subject.source)]
    forms: list[tuple[str, Path | None]] = []
    for backend in backends:
        path = None
        if backend != "torch":
            path = stem.with_name(f"{stem.name}_{backend}{FORMATS[backend].suffix}")
            export_model(subject.source, backend, path)
        forms.append((backend, path))
    return forms


def _prepare(subject: Subject, backend: str, path: Path | None, threads: int, batch_size: int) -> _Candidate:
    """Open a runtime and time its first answer."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    if path is None:
        assert not isinstance(subject.source, Path)
        runtime: Runtime = TorchRuntime(subject.source)
    else:
        runtime = open_runtime(path, threads)
    image_size = subject.image_size or runtime.artifact.image_size
    images = _images(batch_size, runtime.artifact.num_channels, image_size)
    runtime(images)
    cold_start = time.perf_counter() - start
    num_bytes = None if path is None else sum(file.stat().st_size for file in written_files(path))
    return _Candidate(
        subject, backend, path, threads, batch_size, image_size, cold_start, num_bytes,
        lambda: runtime(images),
    )  # fmt: skip


def _images(batch_size: int, channels: int, size: Size) -> Tensor:
    """Noise: the time does not depend on what is in an image."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch_size, channels, *size), dtype=torch.uint8, generator=generator)


def _memory(candidate: _Candidate) -> int | None:
    source = candidate.path or candidate.subject.source
    return peak_memory(source, candidate.batch_size, candidate.image_size, candidate.threads)


def _summary(candidate: _Candidate, taken: Sequence[float], memory: int | None) -> Measurement:
    median, p90 = np.quantile(taken, [0.5, 0.9]).tolist()
    return Measurement(
        name=candidate.subject.name,
        backend=candidate.backend,
        threads=candidate.threads,
        batch_size=candidate.batch_size,
        image_size=candidate.image_size,
        cold_start=candidate.cold_start,
        median=median,
        p90=p90,
        num_bytes=candidate.num_bytes,
        peak_memory=memory,
        num_calls=len(taken),
    )
