"""timm's weights by name, from its pages on Hugging Face, and what is known of how they were trained."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pocketvision.core.download import download
from pocketvision.core.errors import InputError
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
        InputError: they can't be had; says where to put the file by hand.
    """
    return download(timm_url(name), f"{name.replace('/', '--')}.safetensors")


def timm_facts(name: str) -> dict[str, Any]:
    """What a passport would say of ``timm/NAME``: padding and epsilon, and where its page says them mean, std
    and licence."""
    is_tensorflow = name.startswith("timm/tf_")
    facts: dict[str, Any] = {
        "padding": "same" if is_tensorflow else "torch",
        "norm_eps": [_TENSORFLOW_EPS if is_tensorflow else _TORCH_EPS],
    }
    try:
        path = download(timm_url(name, "config.json"), f"{name.replace('/', '--')}.json")
        stated = json.loads(path.read_text(encoding="utf-8"))["pretrained_cfg"]
        page = {key: stated[key] for key in ("mean", "std", "license") if key in stated}
    except (InputError, OSError, ValueError, LookupError, TypeError) as error:
        logger.warning("The mean and std of %s are not known and not checked: %s", name, error)
        return facts
    if "license" in page:
        page["licence"] = page.pop("license")
    return facts | page


@torch.no_grad()
def absorb_eps(module: nn.Module, eps: float) -> None:
    """Let BatchNorms whose statistics and scale were trained with ``eps`` do the same with their own."""
    for norm in module.modules():
        if isinstance(norm, BatchNorm) and norm.running_var is not None and norm.eps != eps:
            norm.weight.mul_(((norm.running_var + norm.eps) / (norm.running_var + eps)).sqrt())
