"""Weights of published classifiers: download, names of other libraries, stems for other images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketvision.core.download import download
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import HasImagenetFile, HasPublishedNames, Library
from pocketvision.core.weights import MatchReport, StateDict, load_state_dict, read_state_dict

logger = logging.getLogger("pocketvision")

LIBRARY_STEMS: dict[str, Library] = {"features.0.0.weight": "torchvision", "conv_stem.weight": "timm"}


def load_pretrained(backbone: nn.Module, weights: str | Path) -> MatchReport:
    """Load ``"imagenet"`` (torchvision's published file) or a local file into ``backbone``; log what matched.

    A file may have torchvision's, timm's or this project's names, and images of three channels
    where the backbone has others (:func:`adapt_stem`).

    Raises:
        InputError: no connection, a broken file, a file of another architecture, no published file, or
            names of a library that the backbone does not know (:class:`HasPublishedNames`).
    """
    path = imagenet_file(backbone) if weights == "imagenet" else Path(weights)
    state = read_state_dict(path)
    for key, library in LIBRARY_STEMS.items():
        if key in state:
            names = _names_for_file(backbone, library, path)
            state = rename_modules(state, {theirs: ours for ours, theirs in names.items()})
    stem, in_channels = _first_convolution(backbone)
    if stem in state and state[stem].dim() == 4 and state[stem].shape[1] == 3 != in_channels:
        state[stem] = adapt_stem(state[stem], in_channels)
    report = load_state_dict(backbone, state, str(path))
    logger.info("%s", report)
    return report


def _first_convolution(backbone: nn.Module) -> tuple[str, int]:
    """The name of the weight of the first convolution, which sees the images, and their channels."""
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{name}.weight", module.in_channels
    return "", 0


def imagenet_file(backbone: nn.Module) -> Path:
    """torchvision's published file for this architecture, downloaded once.

    Raises:
        InputError: there is none, or it can't be downloaded.
    """
    url = backbone.imagenet_url if isinstance(backbone, HasImagenetFile) else None
    if url is None:
        raise InputError(
            "weights='imagenet' is torchvision's file, and torchvision has none for this architecture: "
            "give a local file, such as timm's."
        )
    return download(url)


def _names_for_file(backbone: nn.Module, library: Library, path: Path) -> dict[str, str]:
    if not isinstance(backbone, HasPublishedNames):
        raise InputError(
            f"{path} has {library}'s names, but a {type(backbone).__name__} has no published_names(): "
            "load them into it before the model is built, or give weights of the whole model."
        )
    try:
        return backbone.published_names(library)
    except ValueError as error:
        raise InputError(f"{path} does not fit this model: it has {library}'s names, but {error}") from error


def rename_modules(state: StateDict, names: Mapping[str, str]) -> StateDict:
    """``state`` with modules renamed: names of whole modules, whose tensors keep their own names.

    Tensors of other modules, such as a classifier's, keep their names. With
    ``names = backbone.published_names(library)`` our tensors get the library's names; with the
    inverse theirs get ours.
    """
    renamed = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        renamed[f"{names[module]}.{leaf}" if module in names else name] = tensor
    return renamed


def adapt_stem(weight: Tensor, in_channels: int) -> Tensor:
    """An RGB stem's weight (C, 3, k, k) for images of ``in_channels``: (C, in_channels, k, k).

    One channel takes the sum over RGB, so a gray image gives what it gave as RGB, and two take R and G, times
    3 / 2, as in timm. Of more the first three keep RGB's and the others begin at zero: what the file knows of
    the first three is not disturbed, and the others are learned (docs/results.md, "Other channels").
    """
    if in_channels == 1:
        return weight.sum(1, keepdim=True)
    if in_channels < 3:
        return weight[:, :in_channels] * (3 / in_channels)
    others = weight.new_zeros(len(weight), in_channels - 3, *weight.shape[2:])
    return torch.cat((weight, others), dim=1)
