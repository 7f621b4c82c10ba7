"""A training step of SSDLite V3-Large at 320x320: torchvision's ssdlite320 and ours, in turn.

    python benchmarks/training_step.py [--batch 16] [--rounds 5] [--device cpu] [--configs FIRST SECOND ...]

Both go from images of 320x320 in memory to an updated model, as in their own trainings: torchvision's from a
list of float images through its transform, with SGD as its reference sets it; ours from a uint8 batch
through the shipped config's task, without Lightning, which adds about 2 ms. On CUDA both run in fp16, ours
as ``--compile`` says.

Each has a process of its own, prepared as its own training script does it (ours keeps freed memory,
core/memory.py; torchvision's references/detection/train.py does nothing); they take turns, one waits while
the other works. ``--one-process`` puts both into this one, unprepared. ``--configs`` names configs of ours to
compare instead, as ``ssdlite_v2_bccd gfl_v2_bccd``: from random weights, each step with its own loss and
optimizer, and the ratio of medians to the first.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch
from timing import interleaved, table
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from pocketvision.core.command import find_config
from pocketvision.core.memory import keep_freed_memory
from pocketvision.core.structures import BoxTarget, DetectionSamples
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.accumulation import losses_in_parts
from pocketvision.tasks.base import VisionTask

NUM_CLASSES, NUM_BOXES, SIDE = 90, 10, 320
TORCHVISION, OURS = "torchvision ssdlite320", "pocketvision"


def make_samples(num_images: int, device: torch.device) -> DetectionSamples:
    """Noise with boxes of all sizes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num_images, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    targets = []
    for i in range(num_images):
        corner = torch.rand(NUM_BOXES, 2, generator=generator) * SIDE * 0.7
        size = 8 + torch.rand(NUM_BOXES, 2, generator=generator) * (SIDE * 0.9 - corner)
        boxes = torch.cat((corner, (corner + size).clamp(max=SIDE)), dim=1).to(device)
        labels = torch.randint(0, NUM_CLASSES, (NUM_BOXES,), generator=generator).to(device)
        targets.append(BoxTarget(boxes, labels, i, (SIDE, SIDE)))
    return DetectionSamples(images.to(device), targets)


def step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, device: torch.device) -> float:
    """One optimizer step with its loss; waits for the device."""
    with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
        total = loss()
    total.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    return total.item()


def torchvision_step(samples: DetectionSamples, device: torch.device) -> Callable[[], float]:
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=NUM_CLASSES + 1)
    model.train().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=4e-5)
    images = list(samples.images.float() / 255)
    targets = [{"boxes": x.boxes, "labels": x.labels + 1} for x in samples.targets]

    def loss() -> Tensor:
        return torch.stack(list(model(images, targets).values())).sum()

    return lambda: step(loss, optimizer, device)


def our_step(
    config: str, samples: DetectionSamples, device: torch.device, compiled: bool
) -> Callable[[], float]:
    overrides = ["task.optimizer.lr=1e-4", "model.weights=None", f"model.image_size=({SIDE},{SIDE})"]
    experiment, _ = load_experiment(find_config(config), overrides)
    model = experiment.model([f"class {i}" for i in range(NUM_CLASSES)])
    task: VisionTask[Any] = experiment.task(model=model)
    task.train().to(device)
    model.to(memory_format=torch.channels_last)
    if compiled:
        model.compile()
    groups = task.parameter_groups()
    for group in groups:
        group.pop("lr_factor")
    optimizer = task.optimizer(groups)

    def loss() -> Tensor:
        return losses_in_parts(task, [samples], Tensor.backward)[1]

    return lambda: step(loss, optimizer, device)


def candidate(name: str, arguments: argparse.Namespace) -> Callable[[], float]:
    device = torch.device(arguments.device)
    samples = make_samples(arguments.batch, device)
    if name == TORCHVISION:
        return torchvision_step(samples, device)
    config = "ssdlite_v3_large_coco" if name == OURS else name
    return our_step(config, samples, device, arguments.compile)


def serve(name: str, arguments: argparse.Namespace, line: Connection) -> None:
    """A process of its own: one step for every message."""
    if name != TORCHVISION:
        keep_freed_memory()
    run = candidate(name, arguments)
    while line.recv():
        line.send(run())


def ask(line: Connection) -> None:
    line.send(True)
    line.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    parser.add_argument("--one-process", action="store_true", help="both in this process")
    parser.add_argument("--configs", nargs="+", metavar="NAME", help="configs of ours to compare instead")
    arguments = parser.parse_args()
    candidates: dict[str, Callable[[], object]] = {}
    processes, context = [], multiprocessing.get_context("spawn")
    for name in arguments.configs or (TORCHVISION, OURS):
        if arguments.one_process:
            candidates[name] = candidate(name, arguments)
            continue
        line, other = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, arguments, other)))
        processes[-1].start()
        candidates[name] = partial(ask, line)
    medians = interleaved(candidates, arguments.rounds)
    for process in processes:
        process.terminate()
    print(table(f"training step, batch {arguments.batch}, {arguments.device}", medians))
    for name, value in medians.items():
        ratio = value / next(iter(medians.values()))
        print(f"  {name:<34}{1000 * arguments.batch / value:>9.1f} images/s, {ratio:.3f} of the first's time")


if __name__ == "__main__":
    main()
