"""Untrained models whose outputs are as large as a trained one's.

As initialized, activations shrink from layer to layer and outputs are around 1e-8: every runtime would agree.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pocketvision.core.structures import DetectionOutput
from pocketvision.models import Detector, JointModel, SingleModel, VisionModel


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
        for layer in map(_last, model.head.class_blocks):
            layer.weight.mul_(2.5 / outputs[0].std())
            if model.score_function == "softmax":
                layer.bias.view(-1, len(model.class_names) + 1)[:, -1] += 6.0
        for layer in map(_last, model.head.box_blocks):
            layer.weight.mul_(0.7 / outputs[1].std())
    else:
        names = {"high_logits", "low_logits", "logits", "class_logits"}
        for name, layer in model.head.named_modules():
            if name.split(".")[0] in names and hasattr(layer, "weight"):
                layer.weight.mul_(4.0 / outputs[0].std())


def _last(block: nn.Module) -> nn.Module:
    """The layer that gives the outputs: a dense head has nothing else."""
    return block[-1] if isinstance(block, nn.Sequential) else block


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
