"""What passes between the parts of a model, in PyTorch and inside an exported file."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketvision.core.boxes import clip_boxes
from pocketvision.deploy.certificate.inner_graphs import InnerGraph, open_graph
from pocketvision.deploy.runtimes.artifact import LABEL_MAP, OUTPUTS, Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import raw_graph
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.models import VisionModel

logger = logging.getLogger("pocketvision")

Stages = dict[str, list[Tensor]]
"""Stage -> what it gives for a batch: the normalized images, the features, the raw outputs, ..."""

INNER = ("normalize", "backbone", "head", "decode")
"""The stages inside a graph; ``decode`` is for detectors, and comes after it where NMS is not in it."""


class Reference(Runtime):
    """PyTorch's model as it was trained, neither folded nor traced; ``inner`` is what its parts gave last."""

    def __init__(self, model: VisionModel, *, label_map: bool) -> None:
        artifact = describe(model)
        super().__init__(replace(artifact, outputs=LABEL_MAP) if label_map else artifact)
        copied = deepcopy(model).eval()
        self.graph = raw_graph(copied, label_map=label_map)
        self.inner: Stages = {}
        parts = {"normalize": copied.normalize, "backbone": copied.backbone, "head": copied.head}
        for stage, part in parts.items():
            assert isinstance(part, nn.Module)
            part.register_forward_hook(partial(self._remember, stage))

    @torch.inference_mode()
    def run(self, images: Tensor) -> Sequence[Tensor]:
        outputs: tuple[Tensor, ...] = self.graph(images)
        if self.artifact.task == "detection":
            self.inner["decode"] = decode_all(
                self.artifact, dict(zip(OUTPUTS["detection"], outputs, strict=True))
            )
        return outputs

    def _remember(self, stage: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Mapping):
            output = list(output.values())
        self.inner[stage] = [output] if isinstance(output, Tensor) else list(output)


def decode_all(artifact: Artifact, outputs: Mapping[str, Tensor]) -> list[Tensor]:
    """All boxes (N, A, 4) as shares of the input's longer side, and all scores (N, K, A)."""
    postprocess = artifact.postprocess
    assert postprocess is not None
    boxes = postprocess.coder.decode(outputs["box_deltas"].float(), artifact.anchor_boxes)
    shares = clip_boxes(boxes, artifact.image_size) / max(artifact.image_size)
    return [shares, postprocess.scores(outputs["class_logits"]).transpose(1, 2)]


class StageReader:
    """Reads the stages inside an exported file, as far as its format shows them.

    ``landmarks`` are the names of the inner tensors by stage, in the order of the reference's tensors,
    None for those that are not there; they are looked for with ``images``, which the reference has just
    seen. What the file gives by itself needs no landmark.
    """

    def __init__(self, path: Path, artifact: Artifact, reference: Reference, images: Tensor) -> None:
        self.artifact = artifact
        self.landmarks: dict[str, list[str | None]] = {}
        self._probe: Runtime | None = None
        graph = open_graph(path)
        if graph is None:
            return
        try:
            self.landmarks = _choose(graph, artifact, reference.inner, images)
            names = [name for stage in self.landmarks.values() for name in stage if name is not None]
            if names:
                self._probe = graph.probe(artifact, list(dict.fromkeys(names)))
        except Exception as error:  # whatever a runtime says of a graph that it is to show the inside of
            logger.warning(
                "the inner stages of %s can't be shown: %s", path, " ".join(str(error).split())[:200]
            )
            self.landmarks = {}

    def __call__(self, images: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, list[Tensor | None]]:
        """The stages for a batch, for which the file gave ``outputs``; a stage that is hidden is left out."""
        found = {} if self._probe is None else self._probe(images)
        stages: dict[str, list[Tensor | None]] = {
            stage: [None if name is None else found[name] for name in names]
            for stage, names in self.landmarks.items()
        }
        raw = OUTPUTS[self.artifact.task]
        if all(name in outputs for name in raw):
            stages["head"] = [outputs[name] for name in raw]
            if self.artifact.task == "detection":
                stages["decode"] = list(decode_all(self.artifact, outputs))
        elif "decode" in stages:  # pixels in the graph
            boxes, scores = stages["decode"]
            stages["decode"] = [None if boxes is None else boxes / max(self.artifact.image_size), scores]
        return {stage: tensors for stage, tensors in stages.items() if any(t is not None for t in tensors)}


def _choose(
    graph: InnerGraph, artifact: Artifact, expected: Stages, images: Tensor
) -> dict[str, list[str | None]]:
    """Those tensors of the graph that are most like PyTorch's for the first image.

    Their names and operators say too little: converters fold, split and rename.
    """
    names = list(dict.fromkeys(graph.aliases.values()))
    found = graph.probe(artifact, names)(images[:1])
    landmarks = {
        stage: [_alike(tensor[:1], found) for tensor in expected[stage]]
        for stage in INNER
        if stage != "decode"
    }
    if "decode" in expected:
        landmarks["decode"] = [graph.aliases.get(name) for name in ("nms_all_boxes", "nms_all_scores")]
    return landmarks


def _alike(tensor: Tensor, candidates: Mapping[str, Tensor]) -> str | None:
    """The candidate of the same shape that differs least."""
    fitting = {
        name: difference if math.isfinite(difference) else math.inf
        for name, value in candidates.items()
        if value.shape == tensor.shape
        for difference in [float((value.float() - tensor.float()).abs().max())]
    }
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


@dataclass
class StageDifference:
    """How far tensors are from the reference's: the largest difference, and the root of the sum of squares
    as a share of the reference's; ``largest`` is the reference's largest number."""

    max_abs: float = 0.0
    largest: float = 0.0
    squares: float = 0.0
    reference_squares: float = 0.0

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Count in tensors of any type; another shape or a NaN is infinitely far."""
        if expected.shape != found.shape:
            self.max_abs = self.squares = math.inf
            return
        reference = expected.double()
        gap = found.double() - reference
        largest = float(gap.abs().max()) if gap.numel() else 0.0
        self.max_abs = max(self.max_abs, math.inf if math.isnan(largest) else largest)
        self.largest = max(self.largest, float(reference.abs().max()) if gap.numel() else 0.0)
        squares = float(gap.square().sum())
        self.squares += math.inf if math.isnan(squares) else squares
        self.reference_squares += float(reference.square().sum())

    @property
    def relative(self) -> float:
        if self.squares == 0:
            return 0.0
        return math.sqrt(self.squares / self.reference_squares) if self.reference_squares else math.inf
