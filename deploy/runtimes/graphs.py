"""The part of a model that is exported: images in, a flat tuple of named tensors out."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pocketvision.core.layers import ConvNormAct
from pocketvision.models import Detector, JointModel, Segmenter, SingleModel, VisionModel


class ExportedGraph(nn.Module):
    """Images (N, 3, H, W), uint8 or float32 in 0..255 -> raw outputs.

    A detector gives ``class_logits`` and ``box_deltas``, a segmenter ``logits`` at the
    resolution of its own, a classifier ``class_logits``. What training needs besides is not in it. A part of
    a :class:`JointModel` takes the features that it shares instead of images, and the size of these.
    """

    def __init__(self, model: SingleModel, *, is_part: bool = False) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity() if is_part else model.normalize
        self.backbone, self.head = model.backbone, model.head
        self.is_detector = isinstance(model, Detector)
        self.enlarge = model.enlarge if isinstance(model, Segmenter) else None

    def forward(self, images: Tensor, size: tuple[int, ...] | None = None) -> tuple[Tensor, ...]:
        # Not model.forward: its autocast region would become a part of the graph.
        output = self.head(self.backbone(self.normalize(images)))
        if self.is_detector:
            return tuple(output)
        return (output if self.enlarge is None else self.enlarge(output, size or images.shape[-2:]),)


class JointGraph(nn.Module):
    """Images (N, 3, H, W) -> the raw outputs of the parts of a :class:`JointModel`, one part after the other.

    The features that they share are computed once.
    """

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.normalize, self.backbone = model.normalize, model.backbone
        self.parts = nn.ModuleDict(
            {task: ExportedGraph(model.part(task), is_part=True) for task in model.tasks}
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(self.normalize(images))
        outputs: tuple[Tensor, ...] = ()
        for part in self.parts.values():
            outputs += part(features, images.shape[-2:])
        return outputs


class LabelMapGraph(nn.Module):
    """Images (N, 3, H, W) -> the best class of every pixel of the input, (N, H, W) uint8.

    A class whose name is None is never the best.
    """

    labels: Tensor

    def __init__(self, model: SingleModel) -> None:
        super().__init__()
        self.logits = ExportedGraph(model)
        named = [index for index, name in enumerate(model.class_names) if name is not None]
        self.has_reserved = len(named) < len(model.class_names)
        self.register_buffer("labels", torch.tensor(named), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        (logits,) = self.logits(images)
        if self.has_reserved:
            logits = logits[:, self.labels]
        if self.logits.enlarge is None:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear")
        best = logits.argmax(dim=1)
        return ((self.labels[best] if self.has_reserved else best).to(torch.uint8),)


def raw_graph(model: VisionModel, *, label_map: bool = False) -> nn.Module:
    """The graph of ``model`` itself, as it was trained."""
    if isinstance(model, JointModel):
        return JointGraph(model)
    return LabelMapGraph(model) if label_map else ExportedGraph(model)


def make_graph(model: VisionModel, *, label_map: bool = False) -> nn.Module:
    """A copy of ``model`` for inference, as a graph with every BatchNorm folded into its convolution.

    The mean stays a subtraction: folded into the first convolution it would be wrong at the borders,
    where zeros are padded after it.
    """
    graph = raw_graph(deepcopy(model).eval(), label_map=label_map)
    fold_norms(graph)
    return graph.requires_grad_(False)


def fold_norms(module: nn.Module) -> None:
    """Fold the BatchNorm of every :class:`ConvNormAct` into its convolution, in place, for inference only."""
    for layer in module.modules():
        if isinstance(layer, ConvNormAct):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()  # type: ignore[assignment]
