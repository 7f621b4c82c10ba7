"""The same backbone weights, steps and optimizer in torchvision's parts and in ours: who learns more?

    python benchmarks/against_torchvision.py SHARED OUTPUT [--task detection] [--steps 450] [--seed 0]

Detection, bccd: torchvision's SSD class, SSDLiteHead, loss and preset "ssdlite" against
``ssdlite_v2_bccd``, with the same feature maps and the same anchors. Segmentation, camvid: torchvision's
LRASPP class and the augmentation of its segmentation reference against ``lraspp_v2_camvid``. Both sides
start from torchvision's mobilenet_v2 file, take equal steps of 8 images with AdamW at our config's rates,
and are scored by the same code on the test split.

Each finished run is kept in OUTPUT and skipped when the script is started again, and ours goes on in the
middle; then both are compared by a paired bootstrap over the test images, into OUTPUT/TASK_STEPS_SEED.txt.
Nothing is chosen by the test split. Every number of steps and every seed has runs of its own.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision_models import TorchvisionDetector, TorchvisionSegmenter

from pocketvision.core.files import write_json
from pocketvision.core.structures import IGNORE_INDEX
from pocketvision.datasets.images.read import read_mask
from pocketvision.evaluation.compare import compare, comparison_text
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.runs.build import build
from pocketvision.runs.folder import load_experiment

ROOT = Path(__file__).resolve().parent.parent
TASKS = {"detection": ("ssdlite_v2_bccd", "bccd", 450), "segmentation": ("lraspp_v2_camvid", "camvid", 360)}
BATCH, LR, WARMUP, BACKBONE_FACTOR = 8, 1e-3, 45, 0.4


class Samples(Dataset[Any]):
    """Pictures through torchvision's presets; ``load(index)`` gives what the preset takes."""

    def __init__(self, records: Any, load: Callable[[Any, int], Any], preset: nn.Module) -> None:
        self.records, self.load, self.preset = records, load, preset

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Any:
        return self.preset(*self.load(self.records, index))


def load_boxes(records: Any, index: int) -> tuple[Image.Image, dict[str, Any]]:
    image = Image.open(records.image_paths[index]).convert("RGB")
    owned, size = records.boxes_of(index), (image.height, image.width)
    boxes = tv_tensors.BoundingBoxes(records.boxes[owned].copy(), format="XYXY", canvas_size=size)
    return image, {"boxes": boxes, "labels": torch.from_numpy(records.labels[owned]) + 1}


def load_mask(records: Any, index: int) -> tuple[Image.Image, tv_tensors.Mask]:
    path = records.mask_paths[index]
    mask = torch.from_numpy(records.to_classes(read_mask(path), path)).long()
    return Image.open(records.image_paths[index]).convert("RGB"), tv_tensors.Mask(mask)


def presets(task: str) -> Any:
    """pytorch/vision:references/{detection,segmentation}/presets.py, with camvid's 360 for the base size."""
    tensors = [v2.ToImage(), v2.ToDtype(torch.float, scale=True)]
    flip = v2.RandomHorizontalFlip(p=0.5)
    if task == "detection":
        return v2.Compose([v2.RandomIoUCrop(), flip, *tensors, v2.SanitizeBoundingBoxes(), v2.ToPureTensor()])
    fill = {tv_tensors.Mask: IGNORE_INDEX, "others": 0}
    crop = v2.RandomCrop((288, 288), pad_if_needed=True, fill=fill)
    return v2.Compose([v2.RandomResize(180, 720), flip, crop, *tensors[:1], _FloatImage(), v2.ToPureTensor()])


class _FloatImage(nn.Module):
    """Scale the image, leave the mask."""

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return v2.functional.to_dtype(image, torch.float, scale=True), mask


def make_optimizer(model: nn.Module, task: str, steps: int) -> tuple[Any, Any]:
    """AdamW and its schedule as in our config: norms and biases not decayed, a slower backbone."""
    decay = 0.05 if task == "detection" else 0.01
    groups = []
    for name, parameter in model.named_parameters():
        is_published = ".features." in name or ".backbone." in name
        groups.append(
            {
                "params": [parameter],
                "lr": LR * (BACKBONE_FACTOR if is_published else 1),
                "weight_decay": decay if parameter.ndim > 1 else 0.0,
            }
        )

    def factor(step: int) -> float:
        progress = step / steps
        after = (1 + math.cos(math.pi * progress)) / 2 if task == "detection" else (1 - progress) ** 0.9
        return min(1.0, (step + 1) / WARMUP) * after

    optimizer = torch.optim.AdamW(groups, lr=LR, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train_torchvision(
    task: str, config: str, data_root: Path, weights: Path, steps: int, folder: Path, seed: int
) -> None:
    torch.manual_seed(seed)
    experiment, _ = load_experiment(ROOT / "configs" / f"{config}.py", [f"data.root={str(data_root)!r}"])
    ours, data = build(experiment, pretrained=False)
    theirs = (TorchvisionDetector if task == "detection" else TorchvisionSegmenter)(ours, weights)
    theirs.train().to(memory_format=torch.channels_last)
    samples = Samples(
        data.records(data.train_split), load_boxes if task == "detection" else load_mask, presets(task)
    )
    loader = DataLoader(samples, BATCH, shuffle=True, drop_last=True, num_workers=1, collate_fn=list)
    optimizer, schedule = make_optimizer(theirs, task, steps)
    step, start = 0, time.perf_counter()
    while step < steps:
        for batch in loader:
            loss = theirs.losses(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            step += 1
            if step % 50 == 0:
                print(
                    f"{step} of {steps}, loss {loss.item():.3f}, {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
            if step == steps:
                break
    seconds = round(time.perf_counter() - start)
    folder.mkdir(parents=True, exist_ok=True)
    evaluate(theirs, data, "test", folder, torch.device("cpu"))
    write_json(folder / "training.json", {"steps": steps, "seconds": seconds})


def train_ours(config: str, data_root: Path, weights: Path, steps: int, folder: Path, seed: int) -> None:
    run = folder.parent / f"{folder.name}_run"
    command = [sys.executable, "-m", "pocketvision"]
    options = [
        f"data.root={data_root}", f"model.weights={weights}", f"trainer.max_steps={steps}", f"seed={seed}",
        f"task.warmup_steps={WARMUP}", "trainer.limit_val_batches=0",
    ]  # fmt: skip
    if (run / "checkpoints" / "last.ckpt").is_file():
        start = ["--resume", str(run)]
    else:
        shutil.rmtree(run, ignore_errors=True)
        start = [config, *options, "--run-dir", str(run)]
    if not (run / "metrics.json").is_file():
        subprocess.run([*command, "train", *start], check=True)
    shutil.rmtree(folder, ignore_errors=True)  # half a result
    subprocess.run([*command, "eval", str(run), "--split", "test", "--output", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    weights = (arguments.shared / "weights" / "mobilenet_v2-b0353104.pth").resolve()
    for task in arguments.task or TASKS:
        config, data, default = TASKS[task]
        root, steps = (arguments.shared / "data" / data).resolve(), arguments.steps or default
        name = f"{task}_{steps}_{arguments.seed}"
        theirs, ours = arguments.output / f"{name}_torchvision", arguments.output / f"{name}_ours"
        if not (theirs / "metrics.json").is_file():
            train_torchvision(task, config, root, weights, steps, theirs, arguments.seed)
        if not (ours / "metrics.json").is_file():
            train_ours(config, root, weights, steps, ours, arguments.seed)
        text = comparison_text(compare(theirs, ours), (str(theirs), str(ours)))
        (arguments.output / f"{name}.txt").write_text(f"{text}\n")
        print(text)


if __name__ == "__main__":
    main()
