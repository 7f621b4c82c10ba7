"""A graph for images of any size has the gates that the head has at each of them."""

from __future__ import annotations

import pytest
import torch

from pocketvision.heads.lraspp import PooledGate


@pytest.mark.parametrize("pool_size", [49, 5, None])
def test_windows_whose_number_depends_on_the_size(pool_size: int | None) -> None:
    torch.manual_seed(0)
    gate = PooledGate(6, 4, pool_size, (3, 4) if pool_size == 5 else (16, 20)).eval()
    sides = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    images = torch.rand(2, 6, 20, 24)
    program = torch.export.export(gate, (images,), dynamic_shapes={"x": sides}, strict=False).module()
    for size in ((20, 20), (49, 49), (60, 130), (3, 5), (2, 257)):
        x = torch.rand(2, 6, *size) * 5
        torch.testing.assert_close(program(x), gate(x), atol=1e-5, rtol=1e-5)
