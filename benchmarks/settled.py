"""Untrained models of the configs, whose outputs are as large as a trained one's, and images for them.

As initialized, activations shrink from layer to layer and outputs are around 1e-8: every runtime would agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pocketvision.core.command import shipped_configs
from pocketvision.core.structures import DetectionOutput
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.images.read import read_image
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.models import Detector, JointModel, SingleModel, VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment

PUBLISHED_V2 = Path("weights/mobilenet_v2-b0353104.pth")


class Case(NamedTuple):
    """A config's model, and images (N, 3, H, W) uint8 of its size."""

    name: str
    model: VisionModel
    images: Tensor

    def difference(self, runtime: Runtime, batch_sizes: Sequence[int] = (1,)) -> str:
        """The largest difference of the raw outputs from PyTorch's, and the largest output."""
        gap = largest = 0.0
        for batch in (batch for size in batch_sizes for batch in torch.split(self.images, size)):
            for found, expected in zip(runtime(batch).values(), raw(self.model, batch), strict=True):
                gap = max(gap, float((found - expected).abs().max()))
                largest = max(largest, float(expected.abs().max()))
        return f"{gap:.1e} of {largest:.1f}"


def cases(shared: Path, names: Sequence[str], num_images: int) -> Iterator[Case]:
    """The configs ``names``, settled; V2 from published weights: random ones amplify float32's rounding."""
    for name in names:
        torch.manual_seed(0)
        is_v2 = "_v2_" in name and not name.startswith("classifier")
        overrides = [f"model.weights={shared / PUBLISHED_V2}"] if is_v2 else []
        experiment, _ = load_experiment(shipped_configs()[name], overrides)
        classes = tuple(experiment.class_names or (f"class {i}" for i in range(80)))
        model = (experiment.model(classes) if is_v2 else build_model(experiment, classes)).eval()
        images = _read_images(model, shared, num_images)
        settle(model, images)
        yield Case(name, model, images)


def _read_images(model: VisionModel, shared: Path, count: int) -> Tensor:
    """Half of them photographs, half street scenes."""
    photographs = sorted((shared / "data/coco_mini/val").glob("*.jpg"))
    streets = sorted((shared / "data/camvid/test/images").iterdir())
    files = [*photographs[: count // 2], *streets[: count - count // 2]]
    return torch.stack([to_tensor(model.resize.apply(read_image(str(file)))) for file in files])


@torch.no_grad()
def settle(model: VisionModel, images: Tensor) -> None:
    """Statistics of real images in every BatchNorm, and outputs that differ from class to class."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            if (norm.weight == 1).all() and (norm.bias == 0).all():  # as initialized, not published
                norm.weight.uniform_(0.8, 1.2)
                norm.bias.normal_(0, 0.1)
            norm.momentum = None  # the mean over all batches
    model.train()(images[:4])
    model.eval()
    for part in _parts(model):
        _decide(part, raw(part, images[:4]))


def _parts(model: VisionModel) -> list[SingleModel]:
    """The model, or those of one of several tasks."""
    return [model.part(task) for task in model.tasks] if isinstance(model, JointModel) else [model]


def _decide(model: SingleModel, outputs: list[Tensor]) -> None:
    """Scale the last layers until the outputs are as decided as a trained model's."""
    if isinstance(model, Detector):
        for layer in _last_layers(model.head.class_blocks):
            layer.weight.mul_(2.5 / outputs[0].std())
            if model.score_function == "softmax":
                layer.bias.view(-1, len(model.class_names) + 1)[:, -1] += 6.0
        for layer in _last_layers(model.head.box_blocks):
            layer.weight.mul_(0.7 / outputs[1].std())
    else:
        names = {"high_logits", "low_logits", "logits", "class_logits"}
        for name, layer in model.head.named_modules():
            if name.split(".")[0] in names and hasattr(layer, "weight"):
                layer.weight.mul_(4.0 / outputs[0].std())


def _last_layers(blocks: Any) -> list[Any]:
    """The layers that give the outputs: a dense head has nothing else."""
    return [block[-1] if isinstance(block, nn.Sequential) else block for block in blocks]


def raw(model: VisionModel, images: Tensor) -> list[Tensor]:
    """The model's raw outputs, of several tasks in their order."""
    with torch.inference_mode():
        output = model(images)
    several = output.values() if isinstance(model, JointModel) else [output]
    return [
        tensor
        for one in several
        for tensor in ([one.class_logits, one.box_deltas] if isinstance(one, DetectionOutput) else [one])
    ]
