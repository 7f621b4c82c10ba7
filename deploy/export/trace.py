"""Models as PyTorch programs (``torch.export``), which every exporter starts from."""

from __future__ import annotations

import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import Artifact

_MIN_SIZE = 33
"""Pixels a side; below, maps shrink to a single cell, for which tracing makes other graphs."""


def trace(graph: nn.Module, artifact: Artifact) -> torch.export.ExportedProgram:
    """``graph`` as a PyTorch program with the artifact's dynamic dimensions.

    Raises:
        InputError: the model can't be traced with them.
    """
    dtype = torch.uint8 if artifact.input_type == "uint8" else torch.float32
    # Sizes 0 and 1 would be taken for constants.
    images = torch.zeros(artifact.batch or 2, artifact.num_channels, *artifact.image_size, dtype=dtype)
    dynamic: dict[int, torch.export.Dim] = {}
    if artifact.batch is None:
        dynamic[0] = torch.export.Dim("batch")
    if artifact.has_dynamic_size:
        dynamic |= {2: torch.export.Dim("height", min=_MIN_SIZE), 3: torch.export.Dim("width", min=_MIN_SIZE)}
    try:
        with torch.no_grad():
            return torch.export.export(graph, (images,), dynamic_shapes={"images": dynamic}, strict=False)
    except Exception as error:  # tracing may fail in as many ways as code can be written
        reason = " ".join(str(error).split())[:300]
        hint = "try --size fixed or --batch 1" if dynamic else "replace the part that it names"
        raise InputError(f"This model can't be exported: {hint} ({reason}).") from error
