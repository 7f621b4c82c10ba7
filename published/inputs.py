"""How images went into weights when they were trained: what the file, or its name, tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketvision.backbones.pretrained import LIBRARY_STEMS
from pocketvision.core.protocols import Library
from pocketvision.core.weights import read_passport, read_state_dict
from pocketvision.published.mismatch import PREPROCESSING
from pocketvision.published.tensorflow.import_file import INPUTS, SUFFIXES
from pocketvision.published.timm_hub import file_facts, is_timm_name, timm_facts

_PLAIN_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")


def classifier_library(state: Mapping[str, Any]) -> Library | None:
    """The library whose classifier a state dict is of, by its first layer's name."""
    return next((library for stem, library in LIBRARY_STEMS.items() if stem in state), None)


def facts_of_timm(weights: str | Path, path: Path, padding: str) -> Mapping[str, Any]:
    """What is known of timm's ``weights``, a name or the file ``path``, for a model with ``padding``."""
    return timm_facts(str(weights)) if is_timm_name(str(weights)) else file_facts(path, padding)


def inputs_of_file(weights: str | Path, padding: str = "torch") -> Mapping[str, Any]:
    """Padding, mean and std of the images that weights were trained with, as far as they are known.

    ``padding`` is that of the model that they are for.
    """
    path = Path(weights)
    path = path / "weights.safetensors" if path.is_dir() else path
    if path.suffix in SUFFIXES:
        return INPUTS
    if is_timm_name(str(weights)):
        return timm_facts(str(weights))
    if not path.is_file() or path.suffix not in _PLAIN_SUFFIXES:
        return {}
    if path.suffix == ".safetensors" and (passport := read_passport(path)):
        return {key: passport[key] for key in PREPROCESSING if key in passport}
    return file_facts(path, padding) if classifier_library(read_state_dict(path)) == "timm" else {}
