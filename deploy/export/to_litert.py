"""LiteRT files (.tflite), which phones run: written by Google's converter in an environment of its own."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from torch import nn

from pocketvision.core.files import replacing
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import convert
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.litert_interpreter import CHECKSUM, LABELS, METADATA


def write_litert(graph: nn.Module, artifact: Artifact, path: Path, converters: Converters) -> str:
    """Write ``graph`` as a .tflite file of one image a call, unless the artifact says how many.

    Metadata are files in a ZIP archive behind the graph, where LiteRT's own tools put labels too.

    Raises:
        InputError: the model can't be traced or converted, or there is no converter.
    """
    python = converter_python(converters)
    artifact = replace(artifact, batch=artifact.batch or 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        report = convert(trace(graph, artifact), python, "litert_script.py", "graph.tflite", Path(work))
        content = (Path(work) / "graph.tflite").read_bytes()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(METADATA, artifact.to_json())
            archive.writestr(LABELS, "\n".join(name or "???" for name in artifact.class_names))
            checksum = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            archive.writestr(CHECKSUM, json.dumps(checksum))
    count, version = sum(report["operators"].values()), report["versions"]["litert-torch"]
    return f"{count} operators, by litert-torch {version}"
