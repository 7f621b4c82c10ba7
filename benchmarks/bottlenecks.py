"""Figure 6 of the MobileNetV2 paper, in small: linear against ReLU6 bottlenecks, and where shortcuts go.

    python benchmarks/bottlenecks.py DATA OUTPUT.json [--steps 400] [--seeds 0 1 2] [--only NAME ...]

DATA is camvid. The class of a pixel is learned from the 64x64 pixels around it, made half as large, by a
MobileNetV2 of width 0.35 whose stem keeps its resolution, from random weights; all variants see the same
crops in the same order. Crops of the test images are scored once at the end. Called again it goes on with
what is missing in OUTPUT.json. The paper's figure shows ImageNet's top-1; its differences are of one or two
points.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v2
from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.configs.lraspp_v2_camvid import CAMVID_NAMES, VOID
from pocketvision.core.files import replacing
from pocketvision.datasets import MaskFolderDataModule
from pocketvision.datasets.images.read import read_image

SIDE, BATCH = 32, 64
NUM_CLASSES = len(CAMVID_NAMES)


class Variant(NamedTuple):
    """How bottlenecks differ: their activation, and what a shortcut connects."""

    shortcut: Literal["bottlenecks", "expansions", "none"] = "bottlenecks"
    is_linear: bool = True


VARIANTS = {
    "as published": Variant(),
    "ReLU6 in bottlenecks": Variant(is_linear=False),
    "shortcuts between expansions": Variant("expansions"),
    "no shortcuts": Variant("none"),
}


class Crops(NamedTuple):
    """Images (N, 3, 32, 32) uint8 and labels (N,)."""

    images: Tensor
    labels: Tensor


class SmallNet(nn.Module):
    """MobileNetV2's layers, joined as ``variant`` says; (N, 3, 32, 32) uint8 -> class_logits (N, 11)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.body = mobilenet_v2(width_mult=0.35, out_features=("c5",))
        self.body.stem.conv.stride = (1, 1)
        self.class_logits = nn.Linear(self.body.feature_info["c5"].channels, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x, widened = self.body.stem(images.float() / 127.5 - 1), None
        for block in self.body.blocks:
            assert isinstance(block, InvertedResidual)
            inner = block.depthwise(block.expand(x))
            if self.variant.shortcut == "expansions" and widened is not None and widened.shape == inner.shape:
                inner = inner + widened
            widened, out = inner, block.project(inner)
            if self.variant.shortcut == "bottlenecks" and block.has_residual:
                out = x + out
            x = out if self.variant.is_linear else nn.functional.relu6(out)
        logits: Tensor = self.class_logits(x.mean(dim=(2, 3)))
        return logits


def read_crops(data: Path) -> tuple[Crops, Crops]:
    """Of the training and the test images, around pixels drawn at random, as many of each class there."""
    module = MaskFolderDataModule(root=str(data), class_names=CAMVID_NAMES, ignore_ids=(VOID,), num_workers=0)
    generator = np.random.default_rng(0)
    results = []
    for split, each in (("train", 12), ("test", 4)):
        records = module.own_records(split)
        images, labels = [], []
        for path, mask_path in zip(records.image_paths, records.mask_paths, strict=True):
            picture = cv2.copyMakeBorder(read_image(path), SIDE, SIDE, SIDE, SIDE, cv2.BORDER_REFLECT)
            mask = cv2.imread(mask_path, cv2.IMREAD_UNCHANGED)
            assert mask is not None, mask_path
            for label in sorted(set(np.unique(mask).tolist()) - {VOID}):
                places = np.argwhere(mask == label)
                for y, x in places[generator.integers(0, len(places), each)]:
                    crop = picture[y : y + 2 * SIDE, x : x + 2 * SIDE]
                    images.append(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
                    labels.append(label)
        results.append(Crops(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.tensor(labels)))
    return results[0], results[1]


def batch_of(crops: Crops, generator: torch.Generator) -> Crops:
    """Random crops, the rarer classes as often as the others, half of them mirrored."""
    weights = 1.0 / torch.bincount(crops.labels)[crops.labels]
    chosen = torch.multinomial(weights, BATCH, generator=generator)
    images = crops.images[chosen]
    mirrored = torch.rand(BATCH, generator=generator) < 0.5
    return Crops(torch.where(mirrored[:, None, None, None], images.flip(3), images), crops.labels[chosen])


def train(variant: Variant, crops: Crops, steps: int, seed: int) -> SmallNet:
    torch.manual_seed(seed)
    model = SmallNet(variant).to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for _ in range(steps):
        images, labels = batch_of(crops, generator)
        maps = images.contiguous(memory_format=torch.channels_last)
        loss = nn.functional.cross_entropy(model(maps), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def mean_class_accuracy(model: SmallNet, crops: Crops) -> float:
    """The mean of the classes' shares of right answers."""
    answers = torch.cat([model(part).argmax(dim=1) for part in torch.split(crops.images, 256)])
    right = (answers == crops.labels).float()
    return float(torch.stack([right[crops.labels == label].mean() for label in range(NUM_CLASSES)]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    train_crops, val_crops = read_crops(arguments.data)
    print(f"{len(train_crops.labels)} crops to train, {len(val_crops.labels)} to score", flush=True)
    scores = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {}
    for seed in arguments.seeds:
        for name in arguments.only:
            key, start = f"{name}, seed {seed}, {arguments.steps} steps", time.perf_counter()
            if key not in scores:
                model = train(VARIANTS[name], train_crops, arguments.steps, seed)
                scores[key] = mean_class_accuracy(model, val_crops)
                with replacing(arguments.output) as temporary:
                    temporary.write_text(json.dumps(scores, indent=2))
                print(f"{key}: {scores[key]:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    for name in arguments.only:
        own = [scores[f"{name}, seed {seed}, {arguments.steps} steps"] for seed in arguments.seeds]
        spread = statistics.stdev(own) if len(own) > 1 else 0.0
        print(f"| {name} | {statistics.mean(own):.4f} | {spread:.4f} |")


if __name__ == "__main__":
    main()
