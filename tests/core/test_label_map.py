"""Label maps against the argmax of PyTorch's interpolation, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core import label_map
from pocketvision.core.label_map import enlarged_argmax
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size


def random_logits(num_classes: int, size: Size, seed: int = 0) -> Tensor:
    return torch.randn(num_classes, *size, generator=torch.Generator().manual_seed(seed)) * 3


def expected(logits: Tensor, size: Size) -> Tensor:
    return F.interpolate(logits.contiguous()[None], size, mode="bilinear")[0].argmax(dim=0)


@pytest.mark.parametrize(
    ("num_classes", "small", "large"),
    [
        (19, (16, 32), (256, 512)),
        (19, (33, 45), (360, 480)),
        (21, (65, 65), (500, 333)),
        (5, (60, 80), (31, 300)),
        (256, (9, 9), (200, 201)),
        (3, (8, 8), (10, 12)),
        (2, (1, 1), (300, 7)),
        (1, (4, 4), (150, 150)),
    ],
)
def test_equals_argmax_of_interpolated_logits(num_classes: int, small: Size, large: Size) -> None:
    logits = random_logits(num_classes, small)
    found = enlarged_argmax(logits, large)
    assert found.dtype == torch.uint8 and found.shape == large
    assert torch.equal(found.long(), expected(logits, large))


def test_every_size_around_the_change_of_kernels() -> None:
    logits = random_logits(7, (11, 13))
    for height, width in ((1, 1), (11, 13), (60, 67), (60, 68), (60, 69), (128, 127), (128, 128), (128, 129)):
        found = enlarged_argmax(logits, (height, width))
        assert torch.equal(found.long(), expected(logits, (height, width)))


def test_the_first_of_equal_classes_wins() -> None:
    # Few values, so that many pixels have two or more best classes, also between the given points.
    logits = torch.randint(0, 2, (6, 12, 12), generator=torch.Generator().manual_seed(0)).float()
    size = (192, 192)
    enlarged = F.interpolate(logits[None], size, mode="bilinear")[0]
    is_best = enlarged == enlarged.amax(dim=0)
    assert (is_best.sum(dim=0) > 1).float().mean() > 0.2
    first = torch.from_numpy(np.argmax(is_best.numpy(), axis=0))
    assert torch.equal(enlarged_argmax(logits, size).long(), first)


def test_one_channel_is_enlarged_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    enlarged = []

    def enlarge(logits: Tensor, size: Size) -> Tensor:
        enlarged.append(len(logits))
        return F.interpolate(logits[None], size, mode="bilinear")[0]

    monkeypatch.setattr(label_map, "enlarge", enlarge)
    enlarged_argmax(random_logits(9, (8, 8)), (200, 201))
    assert enlarged == [1]


def test_layout_and_precision_of_the_logits() -> None:
    logits = random_logits(19, (32, 32))
    strided = logits[None].contiguous(memory_format=torch.channels_last)[0]
    assert not strided.is_contiguous()
    assert torch.equal(enlarged_argmax(strided, (300, 300)).long(), expected(logits, (300, 300)))
    half = logits.bfloat16()
    assert torch.equal(enlarged_argmax(half, (300, 300)).long(), expected(half, (300, 300)))


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_logits_are_restored_by_bilinear_interpolation(mode: str) -> None:
    resize, size = Resize((128, 160), mode=mode), (375, 500)  # type: ignore[arg-type]
    logits = random_logits(4, (16, 20))
    content = logits
    if mode == "letterbox":
        content = F.interpolate(logits[None], (128, 160), mode="bilinear")[0, :, :120]
    enlarged = F.interpolate(content[None], size, mode="bilinear")[0]
    torch.testing.assert_close(resize.restore_logits(logits, size), enlarged)
    assert torch.equal(resize.restore_labels(logits, size).long(), enlarged.argmax(dim=0))


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_restored_labels_are_the_best_of_restored_logits(mode: str) -> None:
    resize = Resize((128, 160), mode=mode)
    logits = random_logits(11, (16, 20))
    for size in ((375, 500), (500, 375), (128, 160)):
        labels = resize.restore_labels(logits, size)
        assert torch.equal(labels.long(), resize.restore_logits(logits, size).argmax(dim=0))
