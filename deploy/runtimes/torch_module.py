"""PyTorch as a runtime: the model itself, made fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pocketvision.deploy.runtimes.artifact import LABEL_MAP
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.models import VisionModel


class TorchRuntime(Runtime):
    """A copy of ``model`` with folded BatchNorm in channels_last layout; the model stays as it is.

    ``device`` is where it runs; images may lie elsewhere.
    """

    def __init__(
        self, model: VisionModel, device: str | torch.device = "cpu", *, label_map: bool = False
    ) -> None:
        artifact = describe(model)
        super().__init__(replace(artifact, outputs=LABEL_MAP) if label_map else artifact)
        self.device = torch.device(device)
        graph = make_graph(model, label_map=label_map).to(self.device)
        self.graph = graph.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, images: Tensor) -> Sequence[Tensor]:
        images = images.to(self.device)
        outputs: tuple[Tensor, ...] = self.graph(images.contiguous(memory_format=torch.channels_last))
        return outputs
