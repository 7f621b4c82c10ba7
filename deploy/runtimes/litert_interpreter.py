"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.appended import read_appended
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.devices import AUTO, CPU, check_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken

_IMAGES = "args_0"


class LiteRtRuntime(Runtime):
    """A .tflite file of ours.

    Its interpreter answers one call at a time, so threads wait for each other.

    Raises:
        InputError: ai-edge-litert is missing, the file is broken or not ours, or the device is no CPU.
    """

    takes_arrays = True

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        interpreter = optional("ai_edge_litert.interpreter")
        check_device(device)
        if device not in (AUTO, CPU):
            raise InputError(f"LiteRT runs on the CPU here, not on '{device}': choose auto or cpu.")
        artifact, content = read_litert(path)
        try:
            self.interpreter = interpreter.Interpreter(model_content=content, num_threads=threads)
            self.signature = self.interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise broken(path, error) from error
        self.turn = threading.Lock()
        super().__init__(artifact, str(path))

    def run(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        with self.turn:
            found = self.signature(**{_IMAGES: images})
        return [found[f"output_{i}"].copy() for i in range(len(self.artifact.outputs))]


def read_litert(path: Path) -> tuple[Artifact, bytes]:
    """The metadata of a .tflite file of ours, and its graph as it was written.

    Raises:
        InputError: the file is not ours or has changed since it was written.
    """
    return read_appended(path, b"TFL3", "LiteRT")
