"""Run by the converters' own Python: a PyTorch program (.pt2) becomes a .tflite file.

    python litert_script.py REQUEST.json

The request names ``program``, ``output`` and ``report``; the report is JSON: versions, seconds, operators.
Nothing of pocketvision is imported, and no network is reached.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn


def refuse(*arguments: object, **options: object) -> NoReturn:
    """In the place of whatever opens a connection."""
    raise OSError("a converter needs no network")


def stay_offline() -> None:
    """Let nothing in this process open a connection."""
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refuse)


def main() -> None:
    """Do what the request says."""
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    stay_offline()
    start = time.perf_counter()
    convert(request["program"], request["output"])
    seconds = time.perf_counter() - start
    report = {"seconds": seconds, "operators": operators(request["output"]), "versions": versions()}
    Path(request["report"]).write_text(json.dumps(report), encoding="utf-8")


def convert(program: str, output: str) -> None:
    """Write the .tflite file of a program with inputs of fixed sizes."""
    import litert_torch  # type: ignore[import-not-found]
    import torch

    loaded = torch.export.load(program)
    names = loaded.graph_signature.user_inputs
    values = [node.meta["val"] for node in loaded.graph.nodes if node.name in names]
    inputs = tuple(torch.zeros(tuple(value.shape), dtype=value.dtype) for value in values)
    litert_torch.convert(loaded.module(), inputs).export(output)


def operators(path: str) -> dict[str, int]:
    """Operator -> how often it is in the file."""
    from ai_edge_litert.interpreter import Interpreter

    return dict(collections.Counter(op["op_name"] for op in Interpreter(path)._get_ops_details()))


def versions() -> dict[str, str]:
    """Of the packages that convert."""
    return {name: importlib.metadata.version(name) for name in ("litert-torch", "torch")}


if __name__ == "__main__":
    main()
