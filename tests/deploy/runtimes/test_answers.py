"""A graph that does not answer as its metadata say is one sentence, before anybody reads the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import DETECTIONS, LABEL_MAP, Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.models import VisionModel

BOXES = (torch.rand(2, 5, 4), torch.rand(2, 5), torch.zeros(2, 5, dtype=torch.int64), torch.tensor([5, 0]))


class Fixed(Runtime):
    """Always the same answer."""

    def __init__(self, artifact: Artifact, answer: Sequence[Tensor]) -> None:
        super().__init__(artifact, "m.onnx")
        self.answer = answer

    def run(self, images: Tensor) -> Sequence[Tensor]:
        return self.answer


def changed(index: int, value: Tensor) -> list[Tensor]:
    return [value if i == index else tensor for i, tensor in enumerate(BOXES)]


CASES: dict[str, tuple[str, tuple[str, ...] | None, Sequence[Tensor], str]] = {
    "boxes": ("detection", DETECTIONS, BOXES, ""),
    "too few outputs": ("detection", DETECTIONS, BOXES[:3], "argument 2 is shorter|zip"),
    "another batch": ("detection", DETECTIONS, [tensor[:1] for tensor in BOXES], "for 2 images"),
    "no number": ("detection", DETECTIONS, changed(0, BOXES[0] * torch.nan), "not finite"),
    "a class too many": ("detection", DETECTIONS, changed(2, BOXES[2] + 4), "none of its 4"),
    "labels that are none": ("detection", DETECTIONS, changed(2, BOXES[1]), "none of its 4"),
    "more than there are": ("detection", DETECTIONS, changed(3, torch.tensor([6, 0])), "num_detections"),
    "boxes of three": ("detection", DETECTIONS, changed(0, BOXES[0][..., :3]), "boxes is"),
    "raw outputs of others": (
        "detection",
        None,
        [torch.zeros(2, 7, 5), torch.zeros(2, 7, 4)],
        "class_logits is",
    ),
    "classes": ("segmentation", None, [torch.zeros(2, 9, 8, 8)], "logits is"),
    "a label map": (
        "segmentation",
        LABEL_MAP,
        [torch.full((2, 8, 8), 4)],
        "none of its 4",
    ),
    "scores": ("classification", None, [torch.zeros(2, 3)], "class_logits is"),
}


@pytest.mark.parametrize("case", CASES)
def test_answers(case: str, models: dict[str, VisionModel]) -> None:
    task, outputs, answer, sentence = CASES[case]
    artifact = describe(models[task])
    runtime = Fixed(replace(artifact, outputs=outputs or artifact.outputs), answer)
    images = torch.zeros(2, 3, *artifact.image_size, dtype=torch.uint8)
    if not sentence:
        assert list(runtime(images)) == list(DETECTIONS)
        return
    with pytest.raises(InputError, match=rf"^m\.onnx can't be run \(.*({sentence}).*\): export it again\.$"):
        runtime(images)


def test_a_runtime_that_fails(models: dict[str, VisionModel]) -> None:
    class Failing(Fixed):
        def run(self, images: Tensor) -> Sequence[Tensor]:
            raise RuntimeError("no such\n input")

    artifact = describe(models["classification"])
    with pytest.raises(InputError, match=r"m\.onnx can't be run \(no such input\): export it again"):
        Failing(artifact, ())(torch.zeros(1, 3, *artifact.image_size))
