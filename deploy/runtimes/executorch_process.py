"""ExecuTorch, which pins another PyTorch than this one: run in a process of the converters' environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters.environment import converter_python, known_converters
from pocketvision.deploy.runtimes.appended import read_appended
from pocketvision.deploy.runtimes.devices import AUTO, CPU, check_device
from pocketvision.deploy.runtimes.executorch_server import SIZES, receive, send
from pocketvision.deploy.runtimes.protocol import Runtime, broken

MAGIC = b"ET12"
"""What the version of ExecuTorch in the converters' environment reads and writes."""


class ExecuTorchRuntime(Runtime):
    """A .pte file of ours, in a process of its own that ends with this object.

    It answers one call at a time, so threads wait for each other.

    Raises:
        InputError: ExecuTorch is not there, the file is broken or not ours, or the device is no CPU.
    """

    takes_arrays = True

    def __init__(self, path: Path, threads: int | None = None, device: str = CPU) -> None:
        check_device(device)
        if device not in (AUTO, CPU):
            raise InputError(f"ExecuTorch runs on the CPU here, not on '{device}': choose auto or cpu.")
        artifact, content = read_appended(path, MAGIC, f"ExecuTorch {MAGIC.decode()}")
        super().__init__(artifact, str(path))
        self.turn = threading.Lock()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        weakref.finalize(self, self.log.close)
        self.process = _start(path, self.log)
        weakref.finalize(self, _end, self.process)
        try:
            self._ask({"bytes": len(content), "threads": threads}, content)
        except (OSError, EOFError, ValueError) as error:
            raise broken(path, error) from error

    def run(self, images: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        with self.turn:
            facts, content = self._ask({"shape": images.shape, "dtype": str(images.dtype)}, images.data)
        outputs, start = [], 0
        for fact in facts["outputs"]:
            end = start + prod(fact["shape"]) * SIZES[fact["dtype"]]
            array = np.frombuffer(content[start:end], fact["dtype"]).reshape(fact["shape"])
            outputs.append(array.copy())
            start = end
        return outputs

    def _ask(self, message: dict[str, Any], content: bytes | memoryview) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for the answer.

        Raises:
            OSError: the process has ended, with what it said last.
            ValueError: it answers with an error.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            send(self.process.stdin, message, content)
            answer, data = receive(self.process.stdout)
        except (OSError, EOFError) as error:
            code = self.process.wait()
            raise OSError(
                f"the process of ExecuTorch ended with code {code}: {self._last_words()}"
            ) from error
        if "error" in answer:
            raise ValueError(f"{answer['error']} {self._last_words()}".strip())
        return answer, data

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _start(path: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        python = converter_python(known_converters())
    except InputError as error:
        raise InputError(
            f"{path} is run by ExecuTorch in the converters' environment, which is not here: let "
            "'pocketvision export --format executorch --yes' make it, or set POCKETVISION_CONVERTER_PYTHON "
            "to a Python that has executorch."
        ) from error
    script = Path(__file__).with_name("executorch_server.py")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        return subprocess.Popen(
            [str(python), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
    except OSError as error:
        raise InputError(f"{python} can't be run ({error}): check POCKETVISION_CONVERTER_PYTHON.") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # of what was not yet sent to a process that has ended
                pipe.close()
