"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.devices import AUTO, CPU, onnx_providers
from pocketvision.deploy.runtimes.protocol import Runtime, broken

_ERRORS_ONLY = 3


class OnnxRuntime(Runtime):
    """An .onnx file of ours.

    Raises:
        InputError: onnxruntime is missing, the file is broken or not ours.
    """

    takes_arrays = True

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        onnxruntime = optional("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        providers = onnx_providers(device)
        try:
            try:
                # Its own fallback to the CPU is told on stdout, and to nobody else.
                self.session = onnxruntime.InferenceSession(
                    str(path), options, providers=providers, enable_fallback=0
                )
            except Exception:
                if device != AUTO or len(providers) == 1:
                    raise
                self.session = onnxruntime.InferenceSession(str(path), options, providers=providers[-1:])
            metadata = self.session.get_modelmeta().custom_metadata_map
        except Exception as error:  # a class for every kind of damage, with RuntimeError in common at best
            raise broken(path, error) from error
        if device != AUTO and len(self.session.get_providers()) < len(providers):
            raise InputError(f"ONNX Runtime can't use '{device}' on this machine: choose auto or cpu.")
        super().__init__(Artifact.from_json(metadata.get(METADATA_KEY), str(path)), str(path))

    def run(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        outputs: list[npt.NDArray[Any]] = self.session.run(list(self.artifact.outputs), {"images": images})
        return outputs
