"""LiteRT files (.tflite), which phones run: written by Google's converter in an environment of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import convert, run_script
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.appended import append_metadata
from pocketvision.deploy.runtimes.artifact import Artifact


def write_litert(graph: nn.Module, artifact: Artifact, path: Path, converters: Converters) -> str:
    """Write ``graph`` as a .tflite file of one image a call, unless the artifact says how many.

    Metadata are files in a ZIP archive behind the graph, where LiteRT's own tools put labels too.

    Raises:
        InputError: the model can't be traced or converted, or there is no converter.
    """
    python = converter_python(converters)
    artifact = replace(artifact, batch=artifact.batch or 1)
    with tempfile.TemporaryDirectory() as work:
        made = make_litert(graph, artifact, python, Path(work) / "graph.tflite")
        if artifact.has_float16:
            request = {"model": str(made.path), "precision": "float16"}
            made = run_litert_script("litert_quantize_script.py", request, python, Path(work) / "half.tflite")
        return save_litert(made, artifact, path)


class LiteRtGraph(NamedTuple):
    """A graph without metadata, and what it is made of and by."""

    path: Path
    summary: str


def make_litert(graph: nn.Module, artifact: Artifact, python: Path, path: Path) -> LiteRtGraph:
    """``graph`` converted to ``path``, without metadata."""
    return _summed(path, convert(trace(graph, artifact), python, "litert_script.py", path.name, path.parent))


def run_litert_script(script: str, request: Mapping[str, Any], python: Path, path: Path) -> LiteRtGraph:
    """What a script of the converters' room makes of another graph."""
    return _summed(path, run_script(python, script, request, path))


def _summed(path: Path, report: Mapping[str, Any]) -> LiteRtGraph:
    (by, version), *_ = report["versions"].items()
    return LiteRtGraph(path, f"{sum(report['operators'].values())} operators, by {by} {version}")


def save_litert(graph: LiteRtGraph, artifact: Artifact, path: Path) -> str:
    """Write a graph with its metadata; returns a summary."""
    append_metadata(graph.path.read_bytes(), artifact, path)
    return graph.summary
