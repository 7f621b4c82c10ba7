"""Whole classifiers: torchvision's scores, published sizes, and reserved slots."""

from __future__ import annotations

import copy
import json
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    classifier_v3_large_imagenet,
    classifier_v3_small_imagenet,
)
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier

IMAGENET = tuple(f"n{i:08}" for i in range(1000))


def images(number: int = 2, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8, generator=generator)


def classifier(names: tuple[str | None, ...] = ("cat", "dog", "owl")) -> Classifier:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(width_mult=0.35, out_features=("last",))
    return Classifier(backbone, ClassifierHead, names, Resize((64, 64), mode="crop")).eval()


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (classifier_v1_imagenet, 4_231_976),
        (classifier_v2_imagenet, 3_504_872),
        (classifier_v3_large_imagenet, 5_483_032),
        (classifier_v3_small_imagenet, 2_542_856),
    ],
)
def test_published_parameter_counts(config: Any, published: int) -> None:
    model = config.model(IMAGENET)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


def randomize(model: nn.Module) -> None:
    """Weights that keep the signal alive and tell every layer from the others."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.4, generator)
            nn.init.uniform_(module.bias, -0.3, 0.3, generator)
            nn.init.uniform_(module.running_mean, -0.3, 0.3, generator)
            nn.init.uniform_(module.running_var, 0.6, 1.4, generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.1, 0.1, generator)


def renamed(model: Classifier, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's tensors under our names and shapes."""
    library: Literal["torchvision"] = "torchvision"
    ours = {f"backbone.{a}": b for a, b in model.backbone.published_names(library).items()}
    ours |= {f"head.{a}": b for a, b in model.head.published_names(library).items()}
    theirs = {b: a for a, b in ours.items()}
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    result = {}
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        own = f"{theirs[module]}.{leaf}"
        result[own] = value.reshape(shapes[own])
    return result


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "name"),
    [
        (classifier_v2_imagenet, "mobilenet_v2"),
        (classifier_v3_large_imagenet, "mobilenet_v3_large"),
        (classifier_v3_small_imagenet, "mobilenet_v3_small"),
    ],
)
def test_torchvision_s_weights_give_torchvision_s_logits(config: Any, name: str) -> None:
    import torchvision

    theirs = getattr(torchvision.models, name)(weights=None).eval()
    randomize(theirs)
    model = config.model(IMAGENET).eval()
    model.load_state_dict(renamed(model, theirs.state_dict()))
    batch = images(2, 96)
    expected = theirs(model.normalize(batch))
    assert expected.std() > 0.1
    torch.testing.assert_close(model(batch) / expected.std(), expected / expected.std(), rtol=0, atol=1e-4)


@torch.no_grad()
def test_scores_are_a_softmax_and_reserved_slots_are_never_predicted() -> None:
    model = classifier((None, "cat", None, "owl"))
    model.head.class_logits.bias[0] = 10.0
    scores = model.predict(images())
    expected = model(images()).softmax(dim=1)
    assert (expected.argmax(dim=1) == 0).all()
    torch.testing.assert_close(scores[:, [1, 3]], expected[:, [1, 3]])
    assert (scores[:, [0, 2]] == 0).all()
    assert torch.equal(model(images().float()), model(images()))


def test_every_parameter_learns_from_one_image() -> None:
    model = classifier().train()
    with pytest.warns(UserWarning, match="one value per channel"):
        model(images(1, 32)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_copies_state_dicts_and_passport() -> None:
    model, other = classifier(), classifier()
    for parameter in model.parameters():
        parameter.mul_(1.1)
    other.load_state_dict(model.state_dict())
    for again in (other, copy.deepcopy(model)):
        assert torch.equal(again(images()), model(images()))
    passport = json.loads(json.dumps(model.passport()))
    assert passport["task"] == "classification" and passport["class_names"] == ["cat", "dog", "owl"]
    assert passport["resize"] == {
        "image_size": [64, 64], "mode": "crop", "interpolation": "bilinear", "antialias": False,
        "fill": 114, "crop_share": 0.875,
    }  # fmt: skip
