"""Packages that only some things need: imported where they are used, or asked for in a sentence."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from pocketvision.core.errors import InputError

_EXTRAS = {
    "ai_edge_litert": "litert",
    "ncnn": "ncnn",
    "pnnx": "ncnn",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "nncf": "openvino",
    "openvino": "openvino",
}


def optional(name: str) -> Any:
    """The module ``name``; OpenVINO's packages without what they would tell their makers of its use.

    Raises:
        InputError: it is not installed; the sentence says what to install.
    """
    if name.partition(".")[0] in ("openvino", "nncf"):
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if not installed
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = _EXTRAS.get(package)
        wanted = package if extra is None else f'"pocketvision[{extra}]"'
        raise InputError(
            f"The package {package} is missing: install it with pip install {wanted}."
        ) from error
