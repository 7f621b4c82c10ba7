"""Packages that only exporting needs: imported where they are used, or asked for in a sentence."""

from __future__ import annotations

import importlib
from typing import Any

from pocketvision.core.errors import InputError

_EXTRAS = {
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "nncf": "openvino",
    "openvino": "openvino",
}


def optional(name: str) -> Any:
    """The module ``name``.

    Raises:
        InputError: it is not installed; the sentence says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = _EXTRAS[package]
        raise InputError(
            f'The package {package} is missing: install it with pip install "pocketvision[{extra}]".'
        ) from error
