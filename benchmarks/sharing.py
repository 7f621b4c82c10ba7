"""Latency of one forward pass for two tasks beside the passes of two models, in PyTorch and runtimes.

    python benchmarks/sharing.py [street_v2 ...] [--rounds 30] [--formats onnx,openvino] [--threads 1]

Each config's model with new weights at its own size, its parts as models alone, one image, from pixels to raw
outputs. The three run in turn. With one thread it is the CPU time of the process, so that other work on the
machine does not count; with more, which wait for each other, the time on the clock. The ratio is of medians:
the joint pass to the sum of the two.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from timing import interleaved

from pocketvision.core.command import find_config
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import JointModel, VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment


def compare(name: str, formats: list[str], rounds: int, threads: int) -> None:
    """Print a row for each runtime."""
    experiment, _ = load_experiment(find_config(name), [])
    torch.manual_seed(0)
    joint = build_model(experiment, tuple(experiment.class_names or ())).eval()
    assert isinstance(joint, JointModel)
    clock = time.process_time if threads == 1 else time.perf_counter
    models: list[VisionModel] = [joint, *(joint.alone(task) for task in joint.tasks)]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("torch", *formats):
            runtimes: list[Runtime] = []
            for number, model in enumerate(models):
                if kind == "torch":
                    runtimes.append(TorchRuntime(model))
                else:
                    file = Path(folder, f"{number}{FORMATS[kind].suffix}")
                    runtimes.append(open_runtime(export_model(model, kind, file), threads=threads))
            images = torch.randint(0, 256, (1, 3, *joint.resize.image_size), dtype=torch.uint8)
            candidates = {str(i): partial(runtime, images) for i, runtime in enumerate(runtimes)}
            one, *alone = interleaved(candidates, rounds, clock).values()
            cells = " | ".join(f"{milliseconds:.1f}" for milliseconds in (one, *alone))
            print(f"| `{name}` | {kind} | {cells} | {one / sum(alone):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("configs", nargs="*", default=["street_v2", "street_v3_large"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--formats", default="onnx", help="beside torch, as onnx,openvino")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| config | runtime | both, ms | boxes alone, ms | map alone, ms | ratio |")
    print("|---|---|---|---|---|---|")
    for name in arguments.configs:
        compare(name, arguments.formats.split(","), arguments.rounds, arguments.threads)


if __name__ == "__main__":
    main()
