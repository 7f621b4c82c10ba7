"""Run by the converters' own Python: answers for one ExecuTorch program over its standard input and output.

    python executorch_server.py

A message is a line of JSON and, as long as that says, bytes. The first has the program's ``bytes`` and its
number of ``threads``, None for ExecuTorch's choice; each further one has an image batch's ``shape`` and
``dtype``. An answer lists ``outputs`` with theirs, or says in ``error`` what went wrong. Nothing of
pocketvision is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from math import prod
from typing import IO, Any

SIZES = {"uint8": 1, "int8": 1, "bool": 1, "int32": 4, "int64": 8, "float32": 4}
"""Bytes of a number of each type."""


def main() -> None:
    """Answer until the input ends."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    try:
        method, _program, _content = _load(requests)
    except Exception as error:  # said to who asked
        send(answers, {"error": str(error)})
        return
    send(answers, {"outputs": []})
    while True:
        try:
            message, content = receive(requests)
        except EOFError:
            return
        try:
            outputs = _run(method, message, content)
        except Exception as error:  # one class for all of ExecuTorch's
            send(answers, {"error": str(error)})
        else:
            facts = [{"shape": list(value.shape), "dtype": str(value.dtype)} for value in outputs]
            send(answers, {"outputs": facts}, *(value.tobytes() for value in outputs))


def send(pipe: IO[bytes], message: dict[str, Any], *contents: bytes | memoryview) -> None:
    """Write a message."""
    pipe.write(json.dumps(message).encode() + b"\n")
    for content in contents:
        pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """The next message and its bytes.

    Raises:
        EOFError: the pipe has ended.
        ValueError: what came is no message.
    """
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the process has ended")
    message: dict[str, Any] = json.loads(line)
    parts = message.get("outputs", [message] if "shape" in message else [])
    expected = message.get("bytes", 0) + sum(prod(part["shape"]) * SIZES[part["dtype"]] for part in parts)
    content = pipe.read(expected)
    if len(content) != expected:
        raise EOFError("the process has ended within a message")
    return message, content


def _load(requests: IO[bytes]) -> tuple[Any, Any, bytes]:
    """The method ``forward``, and what must live as long as it does: the program and its bytes."""
    import torch  # noqa: F401  # what ExecuTorch links

    # Not portable_lib, which imports the converter too.
    runtime = importlib.import_module("executorch.extension.pybindings._C")
    message, content = receive(requests)
    if message["threads"] is not None:
        runtime._unsafe_reset_threadpool(message["threads"])  # before XNNPACK holds on to it
    program = runtime._load_program_from_buffer(
        content, program_verification=runtime.Verification.InternalConsistency
    )
    return program.load_method("forward"), program, content


def _run(method: Any, message: dict[str, Any], content: bytes) -> list[Any]:
    import torch

    images = torch.frombuffer(bytearray(content), dtype=getattr(torch, message["dtype"]))
    return [value.contiguous().numpy() for value in method([images.view(message["shape"])])]


if __name__ == "__main__":
    main()
