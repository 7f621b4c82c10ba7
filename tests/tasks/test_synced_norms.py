"""BatchNorm layers become synchronized ones and come back as they were."""

from __future__ import annotations

import torch
from torch import nn

from pocketvision.core.layers import BatchNorm, freeze_norms, settle_frozen_norms
from pocketvision.tasks.synced_norms import SyncedNorms


def test_there_and_back() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), BatchNorm(4, eps=1e-3, momentum=0.03), nn.Sequential(BatchNorm(4))
    )
    freeze_norms(model[2])
    images = torch.randn(2, 3, 5, 5)
    for _ in range(3):
        model(images)
    names, weight, expected = list(model.state_dict()), model[1].weight, model.eval()(images)
    SyncedNorms().apply(model)
    synced = model[1]
    assert type(synced) is nn.SyncBatchNorm and synced.weight is weight
    assert (synced.eps, synced.momentum, synced.training) == (1e-3, 0.03, False)
    assert type(model[2][0]) is BatchNorm and model[2][0].is_frozen, "frozen ones stay frozen"
    assert list(model.state_dict()) == names and torch.equal(model(images), expected)
    freeze_norms(model)
    settle_frozen_norms(model.train())
    assert torch.equal(model(images), expected), "frozen on the way, it normalizes as in inference"
    SyncedNorms().revert(model)
    assert (
        type(model[1]) is BatchNorm
        and model[1].is_frozen
        and model[1].weight is weight
        and model[1].momentum == 0.03
    )
    assert list(model.state_dict()) == names and torch.equal(model(images), expected)
