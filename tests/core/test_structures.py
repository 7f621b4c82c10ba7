"""Padding and its inverse, and structures inside exported graphs."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketvision.core.structures import DetectionBatch, DetectionOutput, Detections, stack_detections


def random_detections(count: int, seed: int) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    return Detections(
        torch.rand(count, 4, generator=generator) * 100,
        torch.rand(count, generator=generator).sort(descending=True).values,
        torch.randint(0, 9, (count,), generator=generator),
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 6), max_size=5))
def test_unpad_undoes_stack(counts: list[int]) -> None:
    images = [random_detections(count, seed) for seed, count in enumerate(counts)]
    batch = stack_detections(images)
    assert batch.num_detections.tolist() == counts
    assert batch.boxes.shape == (len(counts), max(counts, default=0), 4)
    for image, again in zip(images, batch.unpad(), strict=True):
        for value, same in zip(image, again, strict=True):
            assert torch.equal(value, same)


def test_padding_has_score_zero_and_label_minus_one() -> None:
    batch = stack_detections([random_detections(1, 0), random_detections(3, 1), random_detections(0, 2)])
    for i, count in enumerate((1, 3, 0)):
        assert (batch.scores[i, count:] == 0).all() and (batch.labels[i, count:] == -1).all()
        assert (batch.boxes[i, count:] == 0).all()
        assert (batch.labels[i, :count] >= 0).all()


class Head(nn.Module):
    """Puts its input into the structure to test."""

    def __init__(self, structure: type[DetectionOutput] | type[Detections] | type[DetectionBatch]) -> None:
        super().__init__()
        self.structure = structure

    def forward(self, x: Tensor) -> DetectionOutput | Detections | DetectionBatch:
        return self.structure(*(x * i for i in range(len(self.structure._fields))))


@pytest.mark.parametrize("structure", [DetectionOutput, Detections, DetectionBatch])
def test_exported_graphs_with_structures_can_be_saved(
    structure: type[DetectionOutput] | type[Detections] | type[DetectionBatch],
) -> None:
    x, file = torch.arange(3.0), io.BytesIO()
    torch.export.save(torch.export.export(Head(structure), (x,)), file)
    file.seek(0)
    output = torch.export.load(file).module()(x)
    assert type(output) is structure
    for i, value in enumerate(output):
        assert torch.equal(value, x * i)
