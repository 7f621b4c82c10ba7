"""Memory and time of models whose blocks run in groups of channels, beside the whole ones, in three runtimes.

    python benchmarks/split.py [classifier_v2_imagenet classifier_v3_large_imagenet] [--sizes 224 320]
        [--groups auto] [--rounds 30] [--formats pt2,onnx,litert]

Models with new weights and one uint8 image, one thread; LiteRT's converter needs its environment. Each file
runs in fresh processes. ``exact``: allocations go back to the system when they are freed (glibc's mmap
threshold at 64 kB; ONNX Runtime without its arena, memory pattern and reuse of buffers, which keeps one that
a later operator will take), so that what the process has at most, less what it has between passes (VmHWM -
VmRSS), is what is alive: the median of passes. ``default``: by how
much its peak has grown in a few passes since the file was opened, with the runtime's settings as they are.
``arena``: LiteRT's plan of all tensors, without XNNPACK, by their addresses. The fall is whole less split,
beside what ``cost --split`` counts.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import interleaved

from pocketvision.core.command import find_config
from pocketvision.costs.splitting import SplitPlan, choose_groups, plan_split
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment

WAYS = {
    "pt2": ("exact",),
    "onnx": ("exact", "default"),
    "litert": ("default", "arena"),
}
_HEAD = (
    "| config | size | blocks x groups | format | way | whole MB | split MB | fall | counted | off | ms "
    "| split ms | difference |"
)
_MMAP_THRESHOLD = -3
_PASSES = 4
_REPEATS = 15


def compare(name: str, size: int, groups: str, formats: list[str], rounds: int) -> None:
    """Print a row for each runtime and way to measure."""
    experiment, _ = load_experiment(find_config(name), [f"model.image_size=({size},{size})"])
    torch.manual_seed(0)
    model = build_model(experiment, tuple(f"class{i}" for i in range(1000))).eval()
    graph = make_graph(model)
    sizes = (size, size)
    plan = choose_groups(graph, sizes).plan if groups == "auto" else plan_split(graph, sizes, int(groups))
    with tempfile.TemporaryDirectory() as folder:
        for kind in formats:
            report(name, kind, plan, model, Path(folder), rounds)


def report(name: str, kind: str, plan: SplitPlan, model: VisionModel, folder: Path, rounds: int) -> None:
    """Rows of one runtime."""
    files = []
    for number, split in enumerate((None, plan.num_groups)):
        path = folder / f"{kind}{number}{FORMATS[kind].suffix}"
        files.append(
            export_model(model, kind, path, ExportOptions(batch=1, split=split), Converters(None, True))
        )
    runtimes = [open_runtime(file, threads=1) for file in files]
    images = torch.randint(0, 256, (1, 3, *model.resize.image_size), dtype=torch.uint8)
    whole, parted = (np.asarray(next(iter(runtime(images).values()))) for runtime in runtimes)
    error = np.abs(whole - parted).max() / np.abs(whole).max()
    calls = {str(i): partial(runtime, images) for i, runtime in enumerate(runtimes)}
    first, second = interleaved(calls, rounds).values()
    expected = (plan.peak_before - plan.peak_after) / 1e6
    for way in WAYS[kind]:
        before, after = (fresh(file, way) / 1e6 for file in files)
        cells = (
            name, model.resize.image_size[0], f"{len(plan.blocks)} x {plan.num_groups}", kind, way,
            f"{before:.2f}", f"{after:.2f}", f"{before - after:.2f}", f"{expected:.2f}",
            f"{100 * ((before - after) / expected - 1):+.0f} %",
            f"{first:.1f}", f"{second:.1f}", f"{error:.0e}",
        )  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def fresh(file: Path, way: str) -> int:
    """Bytes, measured in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(file), way]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return int(done.stdout.split()[-1])


def measure(file: Path, way: str) -> int:
    """Bytes that a pass of ``file`` needs, in this process."""
    if way == "arena":
        return arena(file)
    libc = ctypes.CDLL("libc.so.6")
    if way == "exact":
        libc.mallopt(_MMAP_THRESHOLD, 1 << 16)
    call = opened(file, way)
    if way == "default":
        return growth(call, _PASSES)
    growth(call, _PASSES)  # the first passes load code
    libc.malloc_trim(0)
    return int(statistics.median(growth(call, 1) for _ in range(_REPEATS)))


def growth(call: Callable[[], Any], passes: int) -> int:
    """By how many bytes the peak of the process exceeds what it had before."""
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = status("VmRSS")
    for _ in range(passes):
        call()
    return status("VmHWM") - before


def opened(file: Path, way: str) -> Callable[[], Any]:
    """One pass of an exported file."""
    runtime = open_runtime(file, threads=1)
    size = (1, 3, *runtime.artifact.image_size)
    images = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    if file.suffix == ".onnx" and way == "exact":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        options.enable_cpu_mem_arena = options.enable_mem_pattern = options.enable_mem_reuse = False
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        del runtime
        return lambda: session.run(None, {"images": images})
    tensor = torch.from_numpy(images)
    return lambda: runtime(tensor)


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def arena(file: Path) -> int:
    """From the first to the last address of the tensors that LiteRT plans itself, constants left out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from pocketvision.deploy.runtimes.litert_interpreter import read_litert

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=read_litert(file)[1], num_threads=1, experimental_op_resolver_type=plain
    )
    interpreter.allocate_tensors()
    written = {index for op in interpreter._get_ops_details() for index in op["outputs"]}
    spans: list[tuple[int, int]] = []
    for index in written | {detail["index"] for detail in interpreter.get_input_details()}:
        try:
            values = interpreter.tensor(index)()
        except ValueError:  # inside a fused operator: it is nowhere
            continue
        start = values.__array_interface__["data"][0]
        spans.append((start, start + values.nbytes))
    return max(stop for _, stop in spans) - min(start for start, _ in spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = ["classifier_v2_imagenet", "classifier_v3_large_imagenet"]
    parser.add_argument("configs", nargs="*", default=names)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 320])
    parser.add_argument("--groups", default="auto", metavar="auto|T")
    parser.add_argument("--formats", default="pt2,onnx,litert")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "WAY"), help="in this process: bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        print(measure(Path(arguments.measure[0]), arguments.measure[1]))
        return
    print(_HEAD)
    print("|---" * (_HEAD.count("|") - 1) + "|")
    for name in arguments.configs:
        for size in arguments.sizes:
            compare(name, size, arguments.groups, arguments.formats.split(","), arguments.rounds)


if __name__ == "__main__":
    main()
