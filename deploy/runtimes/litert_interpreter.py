"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.devices import AUTO, CPU, check_device
from pocketvision.deploy.runtimes.protocol import Runtime, broken

METADATA, LABELS, CHECKSUM = "pocketvision.json", "labels.txt", "pocketvision.sha256.json"
_MAX_BYTES = 1 << 28
_IMAGES = "args_0"


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
        with zipfile.ZipFile(path) as archive:
            known = {entry.filename: entry for entry in archive.infolist()}
            if not {METADATA, CHECKSUM} <= set(known):
                return Artifact.from_json(None, str(path)), b""
            if any(known[name].file_size > _MAX_BYTES for name in (METADATA, CHECKSUM)):
                raise ValueError("its metadata are too large")
            text = archive.read(METADATA).decode()
            checksum = json.loads(archive.read(CHECKSUM))
        with path.open("rb") as file:
            content = file.read(int(checksum["bytes"]))
        if hashlib.sha256(content).hexdigest() != checksum["sha256"]:
            raise ValueError("its bytes have changed since it was exported")
    except zipfile.BadZipFile as error:
        if path.read_bytes()[4:8] == b"TFL3" and b"PK\x05\x06" not in path.read_bytes():
            return Artifact.from_json(None, str(path)), b""
        raise broken(path, error) from error
    except (ValueError, KeyError, TypeError, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise broken(path, error) from error
    return Artifact.from_json(text, str(path)), content
