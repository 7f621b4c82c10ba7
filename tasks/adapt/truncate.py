"""Weights of a narrower network: the largest filters of the wider one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pocketvision.backbones.blocks import InvertedResidual
from pocketvision.backbones.mobilenet import MobileNet
from pocketvision.backbones.width_groups import WidthGroup, adaptable_body
from pocketvision.core.layers import ConvNormAct
from pocketvision.models import SingleModel


def truncate(wide: SingleModel, narrow: SingleModel, group: WidthGroup) -> None:
    """Fill ``narrow``, which differs from ``wide`` in the width of ``group`` alone, with its weights.

    The filters with the largest L2 norm stay (arXiv:1804.03230, sec. 3.3), in their order, each scaled as
    its BatchNorm scales it. What else is as wide as the group, in other blocks or the head, keeps the same
    channels. A width that follows from the group's, as that of squeeze-and-excitation, keeps its own largest.
    """
    norms = filter_norms(adaptable_body(wide.backbone), group)
    state, target = wide.state_dict(), narrow.state_dict()
    inner = _inner_norms(state, target, len(norms))
    kept: dict[str, Tensor] = {}
    for name, value in target.items():
        old = state[name]
        for dim, (size, new) in enumerate(zip(old.shape, value.shape, strict=True)):
            if size != new:
                largest = norms if size == len(norms) else inner[_owner(name), size]
                old = old.index_select(dim, _largest(largest, new))
        kept[name] = old
    narrow.load_state_dict(kept)


def filter_norms(body: MobileNet, group: WidthGroup) -> Tensor:
    """The norm of each filter of ``group``, (width,); of residual blocks the joint one."""
    squares = []
    for index, part in group.places:
        block = body.blocks[index]
        assert isinstance(block, InvertedResidual)
        layer = block.project if part else block.expand
        assert isinstance(layer, ConvNormAct) and layer.norm.running_var is not None
        gain = layer.norm.weight / (layer.norm.running_var + layer.norm.eps).sqrt()
        squares.append((layer.conv.weight.flatten(1).norm(dim=1) * gain) ** 2)
    return torch.stack(squares).sum(dim=0).sqrt().detach()


def _inner_norms(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor], width: int
) -> dict[tuple[str, int], Tensor]:
    """Norms of the filters of layers whose width follows from the group's, by owner and width."""
    found: dict[tuple[str, int], Tensor] = {}
    for name, old in state.items():
        if old.ndim > 1 and old.shape[0] not in (width, target[name].shape[0]):
            found.setdefault((_owner(name), old.shape[0]), old.flatten(1).norm(dim=1))
    return found


def _owner(name: str) -> str:
    """The module that holds a parameter's layer."""
    return name.rsplit(".", 2)[0]


def _largest(norms: Tensor, number: int) -> Tensor:
    """Indices of the largest norms, in their order; of equal ones the first."""
    order = torch.argsort(norms, descending=True, stable=True)
    return order[:number].sort().values
