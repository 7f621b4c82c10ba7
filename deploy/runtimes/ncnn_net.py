"""ncnn: Tencent's runtime for phones and small boards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.devices import AUTO, CPU, check_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken

IMAGES, FILES = "images", "files"
_MAGIC = b"7767517"


class NcnnRuntime(Runtime):
    """A .param file of ours, with its weights (.bin) and its metadata (.json) beside it.

    All is computed in float32 on the CPU; each call has an extractor of its own, so threads may share it.

    Raises:
        InputError: ncnn is missing, a file is missing, broken or not ours, or the device is no CPU.
    """

    takes_arrays = True

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        ncnn = optional("ncnn")
        check_device(device)
        if device not in (AUTO, CPU):
            raise InputError(f"ncnn runs on the CPU here, not on '{device}': choose auto or cpu.")
        artifact, text = read_ncnn(path)
        unknown = unknown_layers(text)
        if unknown:
            raise InputError(
                f"{path} can't be opened (this version of ncnn has no {', '.join(unknown)}): "
                "install a newer one with pip install --upgrade ncnn."
            )
        self.ncnn, self.net = ncnn, ncnn.Net()
        options = self.net.opt
        options.use_vulkan_compute = False
        for kind in ("packed", "storage", "arithmetic"):  # where the processor could, it would round
            setattr(options, f"use_fp16_{kind}", False)
        if threads is not None:
            options.num_threads = threads
        if self.net.load_param_mem(text) or self.net.load_model(str(path.with_suffix(".bin"))):
            raise broken(path, ValueError("ncnn refuses it"))
        super().__init__(artifact, str(path))

    def run(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        extractor = self.net.create_extractor()
        if extractor.input(IMAGES, self.ncnn.Mat(images[0])):
            raise RuntimeError(f"it has no input {IMAGES}")
        outputs = []
        for name in self.artifact.outputs:
            failed, found = extractor.extract(name)
            if failed:
                raise RuntimeError(f"it gives no {name}")
            outputs.append(np.array(found)[None])
        return outputs


def read_ncnn(path: Path) -> tuple[Artifact, str]:
    """The metadata of an ncnn model of ours, and its graph.

    ncnn trusts what it reads: weights whose bytes changed could end the process.

    Raises:
        InputError: a file is missing, not ours, or has changed since it was written.
    """
    sidecar, weights = path.with_suffix(".json"), path.with_suffix(".bin")
    try:
        graph = path.read_bytes()
        if not graph.startswith(_MAGIC):
            raise ValueError("it is no ncnn graph")
        text = graph.decode()
    except (OSError, ValueError) as error:
        raise broken(path, error) from error
    values = read_json(sidecar) if sidecar.is_file() else None
    if not isinstance(values, dict) or METADATA_KEY not in values:
        return Artifact.from_json(None, str(path)), text
    if not weights.is_file():
        raise InputError(f"{path} has no weights: {weights.name} belongs beside it.")
    artifact = Artifact.from_json(json.dumps(values[METADATA_KEY]), str(sidecar))
    expected: Any = values.get(FILES)
    for file in (path, weights):
        if not isinstance(expected, dict) or hash_file(file) != expected.get(file.suffix):
            raise broken(file, ValueError("its bytes have changed since it was exported"))
    return artifact, text


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unknown_layers(text: str) -> list[str]:
    """The kinds of layers in a graph that the installed ncnn does not have."""
    ncnn = optional("ncnn")
    kinds = dict.fromkeys(line.split()[0] for line in text.splitlines()[2:] if line.strip())
    return [kind for kind in kinds if ncnn.layer_to_index(kind) < 0]
