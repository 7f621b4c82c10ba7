"""timm's weights by name, from its pages on Hugging Face, and what is known of how they were trained."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from pocketvision.core.download import download
from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json
from pocketvision.core.layers import BatchNorm

logger = logging.getLogger("pocketvision")

_NAME = re.compile(r"timm/\w[\w.-]*", re.ASCII)
_TENSORFLOW_EPS, _TORCH_EPS = 1e-3, 1e-5
"""timm's models called ``tf_...`` have TensorFlow's epsilon and padding, its own have PyTorch's."""


def is_timm_name(weights: str) -> bool:
    """Whether ``weights`` is a name such as ``timm/mobilenetv3_large_100.ra_in1k``, and no file here."""
    return _NAME.fullmatch(weights) is not None and not Path(weights).exists()


def timm_url(name: str, file: str = "model.safetensors") -> str:
    """Where a file of ``timm/NAME`` lies; HF_ENDPOINT names a mirror, as for Hugging Face's own tools."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return f"{endpoint}/{name}/resolve/main/{file}"


def fetch_timm(name: str) -> Path:
    """The weights of ``timm/NAME``, downloaded once.

    Raises:
        InputError: they can't be downloaded; says where to put the file by hand.
    """
    return download(timm_url(name), f"{name.replace('/', '--')}.safetensors")


def timm_facts(name: str) -> dict[str, Any]:
    """What a passport would say of ``timm/NAME``: padding and epsilon, and where its page says them mean, std
    and licence."""
    facts = _computed_as("tensorflow" if name.startswith("timm/tf_") else "torch")
    try:
        path = download(timm_url(name, "config.json"), f"{name.replace('/', '--')}.json")
        return facts | _page_facts(path)
    except (InputError, OSError, LookupError, TypeError) as error:
        logger.warning("The mean and std of %s are not known and not checked: %s", name, error)
        return facts


def file_facts(path: Path, padding: str) -> dict[str, Any]:
    """As :func:`timm_facts` for a file of timm's: from the config.json beside it, else from what the file or
    a folder around it is called, else as a model with ``padding`` computes."""
    page, name = path.parent / "config.json", ""
    stated: dict[str, Any] = {}
    try:
        name = str(read_json(page)["architecture"])
        stated = _page_facts(page)
    except (InputError, LookupError, TypeError):
        parts = (path.name, *(folder.name for folder in path.absolute().parents[:3]))
        found = (re.search(r"(tf_)?mobilenet\w*", part) for part in parts)
        name = next((match[0] for match in found if match is not None), "")
    if name.startswith("tf_"):
        return _computed_as("tensorflow") | {"mean": [0.5] * 3, "std": [0.5] * 3} | stated
    if name:
        return _computed_as("torch") | stated
    logger.warning(
        "%s does not say whether timm made it or took it from TensorFlow: the latter is assumed of a model "
        "with padding 'same', the former of others.", path,
    )  # fmt: skip
    return _computed_as("tensorflow" if padding == "same" else "torch")


def _computed_as(origin: Literal["tensorflow", "torch"]) -> dict[str, Any]:
    is_tensorflow = origin == "tensorflow"
    eps = _TENSORFLOW_EPS if is_tensorflow else _TORCH_EPS
    return {"padding": "same" if is_tensorflow else "torch", "norm_eps": [eps]}


def _page_facts(path: Path) -> dict[str, Any]:
    """What a config.json of timm's states of the images and the licence."""
    stated = read_json(path)["pretrained_cfg"]
    page = {key: stated[key] for key in ("mean", "std") if key in stated}
    return page | ({"licence": stated["license"]} if "license" in stated else {})


@torch.no_grad()
def absorb_eps(module: nn.Module, eps: float) -> None:
    """Let BatchNorms whose statistics and scale were trained with ``eps`` do the same with their own."""
    for norm in module.modules():
        if isinstance(norm, BatchNorm) and norm.running_var is not None and norm.eps != eps:
            norm.weight.mul_(((norm.running_var + norm.eps) / (norm.running_var + eps)).sqrt())
