"""PyTorch's exported programs (``torch.export``): they run wherever PyTorch does, without this package."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from pocketvision.core.files import replacing
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact


def write_pt2(graph: nn.Module, artifact: Artifact, path: Path) -> str:
    """Write ``graph`` as a .pt2 archive with the metadata as an extra file; returns a summary.

    Raises:
        InputError: the model can't be traced.
    """
    program = trace(graph, artifact)
    program.example_inputs = None  # else the images that it was traced with are saved too
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.export.save(program, file, extra_files={METADATA_KEY: artifact.to_json()})
    return f"{len(program.graph.nodes)} nodes"
