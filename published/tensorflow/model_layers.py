"""The layers of one of our models, and how they are connected, seen while it runs on an empty image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.layers import FileActivation, FilePadding, Links

_POOLING = (F.avg_pool2d, F.adaptive_avg_pool2d, torch.mean, Tensor.mean)
_CONCATENATIONS = (torch.cat, torch.concat)
_ACTIVATIONS: Mapping[Any, FileActivation] = {
    F.relu: "relu",
    F.relu6: "relu6",
    F.hardtanh: "relu6",
    F.hardswish: "hardswish",
}
"""Of hardtanh our models use what ReLU6 makes of it."""

_ATTRIBUTE = "_pocketvision_origin"
"""Where a tensor carries its :class:`_Origin` while a model is looked at."""


@dataclass(frozen=True)
class ModelLayer:
    """A convolution or fully connected layer of a model.

    ``name`` is its module, ``norm`` the module of the BatchNorm that follows, ``activation`` what comes
    right after, ``shape`` that of the kernel: (out, in / groups, height, width), 1x1 where it
    ``is_dense`` and stored as (out, in).
    """

    name: str
    shape: tuple[int, ...]
    is_depthwise: bool
    has_bias: bool
    links: Links
    norm: str | None = None
    norm_eps: float = 0.0
    is_dense: bool = False
    activation: FileActivation | None = None


class _Origin(NamedTuple):
    """What a tensor was computed from."""

    layers: frozenset[int] = frozenset()
    is_pooled: bool = False
    is_output: bool = False
    """It is a layer's very output."""
    is_normalized: bool = False
    """It is a layer's output, or that of its BatchNorm."""
    is_shifted: bool = False
    """It was just padded by more at the end than at the beginning."""
    is_padded: bool = False
    parts: tuple[frozenset[int], ...] = ()


def model_layers(model: nn.Module, image_size: Size, in_channels: int = 3) -> list[ModelLayer]:
    """Layers of ``model`` in the order in which they run on an image (1, in_channels, height, width)."""
    trace = _Trace(model)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), trace:
            model(torch.zeros(1, in_channels, *image_size, device=next(model.parameters()).device))
    finally:
        model.train(was_training)
    return trace.layers


class _Trace(TorchFunctionMode):
    """Follows which layers every tensor comes from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.layers: list[ModelLayer] = []
        self._names = {id(value): name for name, value in model.named_parameters()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        tensors = [x for x in _pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        origins = [getattr(x, _ATTRIBUTE, _Origin()) for x in tensors]
        result = func(*args, **(kwargs or {}))
        origin = _Origin(
            frozenset[int]().union(*(o.layers for o in origins)),
            is_pooled=func in _POOLING or any(o.is_pooled for o in origins),
        )
        if func in (torch.conv2d, F.linear):
            origin = self._enter(func, args, tensors, origins[0])
        elif func is F.batch_norm:
            self._attach(origins[0], (kwargs or {})["weight"], float((kwargs or {})["eps"]))
            origin = origin._replace(is_normalized=origins[0].is_output)
        elif func in _ACTIVATIONS and origins[0].is_normalized:
            (index,) = origins[0].layers
            self.layers[index] = replace(self.layers[index], activation=_ACTIVATIONS[func])
        elif func is F.pad:
            left, right, top, bottom = args[1]
            origin = origin._replace(is_padded=True, is_shifted=(left, top) != (right, bottom))
        elif func in _CONCATENATIONS:
            origin = origin._replace(parts=tuple(o.layers for o in origins))
        for x in _pytree.tree_leaves(result):
            if isinstance(x, Tensor):
                setattr(x, _ATTRIBUTE, origin)
        return result

    def _enter(
        self, func: Callable[..., Any], args: Sequence[Any], tensors: list[Tensor], origin: _Origin
    ) -> _Origin:
        x, weight = tensors[:2]
        is_conv = func is torch.conv2d
        stride = int(args[3][0]) if is_conv else 1
        shape = (*weight.shape, 1, 1)[:4]
        links = Links(
            origin.layers,
            origin.is_pooled,
            stride,
            dilation=int(args[5][0]) if is_conv else 1,
            padding=_padding(x, stride, args[4], origin) if is_conv else None,
            parts=origin.parts,
        )
        name = self._names[id(weight)].removesuffix(".weight")
        is_depthwise = is_conv and int(args[6]) > 1
        self.layers.append(
            ModelLayer(name, shape, is_depthwise, len(tensors) > 2, links, is_dense=not is_conv)
        )
        return _Origin(frozenset({len(self.layers) - 1}), is_output=True, is_normalized=True)

    def _attach(self, origin: _Origin, weight: Tensor, eps: float) -> None:
        """Note a BatchNorm at the layer that it follows."""
        if origin.is_output:
            (index,) = origin.layers
            norm = self._names[id(weight)].removesuffix(".weight")
            self.layers[index] = replace(self.layers[index], norm=norm, norm_eps=eps)


def _padding(x: Tensor, stride: int, padding: Sequence[int], origin: _Origin) -> FilePadding | None:
    """Only at a stride on an even size do symmetric padding and TensorFlow's differ."""
    if stride == 1:
        return None
    if origin.is_padded:
        return "same" if origin.is_shifted else None
    return "torch" if any(padding) and any(side % stride == 0 for side in x.shape[2:]) else None
