"""How often the kernels of TFLite's runtime agree with each other on a quantized file, and ours with them.

    python benchmarks/tflite_kernels.py SHARED

Google's quantized MobileNetV3-Small on ``imagenet_samples``; every kernel and our model, whose weights are
the file's real numbers, see the same pixels. Other ways to crop and resize go to the default kernels only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ai_edge_litert.interpreter as litert
import numpy as np
import torch
from PIL import Image

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier
from pocketvision.published.tensorflow.import_file import import_tensorflow

KERNELS = {"XNNPACK": "AUTO", "plain": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
SIDE = 224


def shorter_side(side: int, how: Image.Resampling, image: Image.Image) -> Image.Image:
    """The shorter side to ``side``, then the central 224x224."""
    factor = side / min(image.size)
    width, height = (max(side, round(length * factor)) for length in image.size)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return image.resize((width, height), how).crop((left, top, left + SIDE, top + SIDE))


def central(share: float, how: Image.Resampling, image: Image.Image) -> Image.Image:
    """The central ``share`` of each side, stretched to 224x224."""
    x, y = (int(length * (1 - share) / 2) for length in image.size)
    return image.crop((x, y, image.width - x, image.height - y)).resize((SIDE, SIDE), how)


BILINEAR, BICUBIC, NEAREST = (Image.Resampling[name] for name in ("BILINEAR", "BICUBIC", "NEAREST"))
WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "shorter side 256, bicubic": partial(shorter_side, 256, BICUBIC),
    "shorter side 256, bilinear": partial(shorter_side, 256, BILINEAR),
    "shorter side 240, bicubic": partial(shorter_side, 240, BICUBIC),
    "shorter side 224, bicubic": partial(shorter_side, 224, BICUBIC),
    "central 7/8, bilinear": partial(central, 0.875, BILINEAR),
    "central 7/8, nearest": partial(central, 0.875, NEAREST),
    "whole, bicubic": partial(central, 1.0, BICUBIC),
}


def answers_of_runtime(file: Path, kernels: str, pixels: np.ndarray) -> np.ndarray:
    """The best class, without the background, of pixels (N, 224, 224, 3) uint8."""
    kind = getattr(litert.OpResolverType, kernels)
    runtime = litert.Interpreter(str(file), num_threads=2, experimental_op_resolver_type=kind)
    runtime.allocate_tensors()
    source, target = (
        details[0]["index"] for details in (runtime.get_input_details(), runtime.get_output_details())
    )
    found = []
    for image in pixels:
        runtime.set_tensor(source, image[None])
        runtime.invoke()
        found.append(runtime.get_tensor(target)[0, 1:].argmax())
    return np.array(found)


@torch.no_grad()
def answers_of_ours(model: Classifier, pixels: np.ndarray) -> np.ndarray:
    batches = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.cat([model(batch).argmax(1) for batch in torch.split(batches, 50)]).numpy()


def main() -> None:
    shared = Path(sys.argv[1])
    file = shared / "weights" / "mobilenet_v3_small_1.0_224_uint8.tflite"
    folders = sorted(path for path in (shared / "data" / "imagenet_samples").iterdir() if path.is_dir())
    images = [Image.open(next(folder.iterdir())).convert("RGB") for folder in folders]
    truth = np.arange(len(images))
    model = Classifier(
        mobilenet_v3_small(out_features=("last",), padding="same"),
        partial(ClassifierHead, hidden_channels=1024),
        [folder.name for folder in folders], Resize((SIDE, SIDE)), mean=(0.5,) * 3, std=(0.5,) * 3,
    ).eval()  # fmt: skip
    import_tensorflow(model, file)
    for number, (way, resize) in enumerate(WAYS.items()):
        pixels = np.stack([np.asarray(resize(image)) for image in images])
        chosen = KERNELS if number == 0 else {"XNNPACK": "AUTO"}
        found: dict[str, Any] = {
            name: answers_of_runtime(file, kind, pixels) for name, kind in chosen.items()
        }
        found["ours"] = answers_of_ours(model, pixels)
        print(way)
        for name, answers in found.items():
            same = ", ".join(f"{(answers == x).mean():.3f} with {other}" for other, x in found.items())
            print(f"  {name:<10} top-1 {(answers == truth).mean():.3f}; agrees {same}", flush=True)


if __name__ == "__main__":
    main()
