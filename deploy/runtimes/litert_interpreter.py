"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.devices import AUTO, CPU, check_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken

METADATA, LABELS, CHECKSUM = "pocketvision.json", "labels.txt", "pocketvision.sha256.json"
_MAX_BYTES = 1 << 28
_IMAGES, _MAGIC = "args_0", b"TFL3"
_DAMAGE = (
    OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, RecursionError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What reading a damaged archive or JSON raises."""


class LiteRtRuntime(Runtime):
    """A .tflite file of ours.

    Its interpreter answers one call at a time, so threads wait for each other.

    Raises:
        InputError: ai-edge-litert is missing, the file is broken or not ours, or the device is no CPU.
    """

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

    def run(self, images: Tensor) -> Sequence[Tensor]:
        with self.turn:
            found = self.signature(**{_IMAGES: images.cpu().contiguous().numpy()})
        return [torch.from_numpy(found[f"output_{i}"].copy()) for i in range(len(self.artifact.outputs))]


def read_litert(path: Path) -> tuple[Artifact, bytes]:
    """The metadata of a .tflite file of ours, and its graph as it was written.

    The interpreter trusts what it reads: a graph whose bytes changed would end the process.

    Raises:
        InputError: the file is not ours or has changed since it was written.
    """
    try:
        whole = path.read_bytes()
        text, checksum = _metadata(whole)
        content = whole[: int(checksum["bytes"])]
        if text and hashlib.sha256(content).hexdigest() != checksum["sha256"]:
            raise ValueError("its bytes have changed since it was exported")
    except _DAMAGE as error:
        raise broken(path, error) from error
    return Artifact.from_json(text, str(path)), content


def _metadata(whole: bytes) -> tuple[str | None, dict[str, Any]]:
    """The text of the metadata, None in a file of somebody else, and length and checksum of the graph."""
    nothing = None, {"bytes": 0}
    if not zipfile.is_zipfile(io.BytesIO(whole)):
        if whole[4:8] != _MAGIC:
            raise ValueError("it is no LiteRT file")
        return nothing
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if METADATA not in sizes:
            return nothing
        if max(sizes[METADATA], sizes[CHECKSUM]) > _MAX_BYTES:
            raise ValueError("its metadata are too large")
        return archive.read(METADATA).decode(), json.loads(archive.read(CHECKSUM))
