"""Published ImageNet files of torchvision: download, hash check, and names translated to ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torch import nn

from pocketvision.backbones.inverted_residual import InvertedResidual, InvertedResidualBackbone
from pocketvision.core.errors import InputError
from pocketvision.core.weights import StateDict, load_state_dict, read_state_dict

logger = logging.getLogger("pocketvision")


def load_pretrained(
    backbone: InvertedResidualBackbone, weights: str | Path, url: str, version: Literal[2, 3]
) -> None:
    """Load ``"imagenet"`` or a local file into ``backbone`` and log what matched.

    A file may have torchvision's names or this project's own.

    Raises:
        InputError: no connection, a broken file, or a file of another architecture.
    """
    path = download(url) if weights == "imagenet" else Path(weights)
    state = read_state_dict(path)
    if "features.0.0.weight" in state:
        state = from_torchvision(backbone, state, version)
    logger.info("%s", load_state_dict(backbone, state, str(path)))


def download(url: str) -> Path:
    """Fetch a file with a hash in its name into torch's cache, once; the hash is checked.

    Raises:
        InputError: it can't be fetched or the hash is wrong; says where to put the file by hand.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rpartition("/")[2]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            digest = path.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=True)
        except (URLError, OSError, RuntimeError) as error:
            raise InputError(
                f"{url} could not be downloaded ({error}): put the file at {path} yourself, "
                "or give its place with model.weights=FILE."
            ) from error
    return path


def from_torchvision(
    backbone: InvertedResidualBackbone, state: StateDict, version: Literal[2, 3]
) -> StateDict:
    """Rename tensors of torchvision's ``mobilenet_v2`` or ``mobilenet_v3_*`` to ours.

    Layers that this backbone does not have, such as the classifier, keep their names.
    """
    renamed = dict(state)
    for ours, theirs in _module_names(backbone, version):
        for name in [name for name in renamed if name.startswith(f"{theirs}.")]:
            renamed[f"{ours}.{name.removeprefix(f'{theirs}.')}"] = renamed.pop(name)
    return renamed


def _module_names(backbone: InvertedResidualBackbone, version: Literal[2, 3]) -> Iterator[tuple[str, str]]:
    """Pairs (our module, torchvision's module)."""
    yield from _conv_names("stem", "features.0")
    for index, block in enumerate(backbone.blocks):
        assert isinstance(block, InvertedResidual)
        ours, theirs = f"blocks.{index}", f"features.{index + 1}.{'conv' if version == 2 else 'block'}"
        position = 0
        for part in ("expand", "depthwise", "squeeze", "project"):
            module = getattr(block, part, nn.Identity())
            if isinstance(module, nn.Identity):
                continue
            if part == "squeeze":
                yield f"{ours}.squeeze.reduce", f"{theirs}.{position}.fc1"
                yield f"{ours}.squeeze.expand", f"{theirs}.{position}.fc2"
            elif part == "project" and version == 2:
                yield f"{ours}.project.conv", f"{theirs}.{position}"
                yield f"{ours}.project.norm", f"{theirs}.{position + 1}"
            else:
                yield from _conv_names(f"{ours}.{part}", f"{theirs}.{position}")
            position += 1
    yield from _conv_names("last", f"features.{len(backbone.blocks) + 1}")


def _conv_names(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.conv", f"{theirs}.0"
    yield f"{ours}.norm", f"{theirs}.1"
