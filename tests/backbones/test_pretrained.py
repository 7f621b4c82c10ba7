"""Weights of classifiers: torchvision's published file, other numbers of image channels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from timm.models import adapt_input_conv
from torch import nn

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.backbones.pretrained import adapt_stem, load_pretrained
from pocketvision.core.errors import InputError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch, and no proxy."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "hub" / "checkpoints"


def serve(folder: Path, content: bytes, digest: str | None = None) -> str:
    digest = hashlib.sha256(content).hexdigest()[:8] if digest is None else digest
    path = folder / f"net-{digest}.pth"
    path.write_bytes(content)
    return path.as_uri()


@torch.no_grad()
def test_imagenet_means_the_downloaded_file(cache: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v2(weights=None, width_mult=0.35).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    url = serve(tmp_path, (tmp_path / "w.pth").read_bytes())
    backbone = mobilenet_v2(width_mult=0.35, out_features=("last",)).eval()
    backbone.architecture = backbone.architecture._replace(imagenet_url=url)
    load_pretrained(backbone, "imagenet")
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(backbone(images)["last"], model.features(images))


@pytest.mark.parametrize(
    ("builder", "published"),
    [
        (mobilenet_v2, torchvision.models.MobileNet_V2_Weights),
        (mobilenet_v3_large, torchvision.models.MobileNet_V3_Large_Weights),
        (mobilenet_v3_small, torchvision.models.MobileNet_V3_Small_Weights),
    ],
)
def test_the_addresses_are_those_that_torchvision_publishes(
    builder: Callable[..., nn.Module],
    published: type[torchvision.models.WeightsEnum],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def refuse(url: str) -> Path:
        asked.append(url)
        raise InputError("no network in tests")

    monkeypatch.setattr("pocketvision.backbones.pretrained.download", refuse)
    with pytest.raises(InputError, match="no network in tests"):
        builder(weights="imagenet")
    assert asked[0] in {weights.url for weights in published}


@pytest.mark.parametrize("in_channels", [1, 2])
def test_stems_of_fewer_channels_are_adapted_as_timm_does(in_channels: int) -> None:
    weight = torch.randn(5, 3, 3, 3)
    torch.testing.assert_close(adapt_stem(weight, in_channels), adapt_input_conv(in_channels, weight))


@pytest.mark.parametrize("in_channels", [4, 9])
def test_more_channels_leave_what_rgb_gives(in_channels: int) -> None:
    weight, image = torch.randn(5, 3, 3, 3), torch.randn(1, in_channels, 8, 8)
    adapted = adapt_stem(weight, in_channels).requires_grad_()
    found = torch.nn.functional.conv2d(image, adapted)
    torch.testing.assert_close(found, torch.nn.functional.conv2d(image[:, :3], weight))
    found.square().sum().backward()
    assert adapted.grad is not None and adapted.grad[:, 3:].abs().amin(dim=(0, 2, 3)).gt(0).all(), "learned"


@torch.no_grad()
@pytest.mark.parametrize("in_channels", [1, 6])
def test_published_weights_for_other_images(in_channels: int, tmp_path: Path) -> None:
    """A gray image gives the same features in any number of equal channels."""
    model = torchvision.models.mobilenet_v2(weights=None, width_mult=0.25).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    arguments = {"weights": tmp_path / "w.pth", "width_mult": 0.25, "out_features": ("last",)}
    gray = torch.randn(1, 1, 64, 64)
    features = mobilenet_v2(in_channels=in_channels, **arguments).eval()(gray.expand(-1, in_channels, -1, -1))
    expected = model.features(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features["last"], expected, rtol=1e-4, atol=1e-4)


def test_files_for_the_same_images_are_taken_as_they_are(tmp_path: Path) -> None:
    trained = mobilenet_v2(width_mult=0.25, in_channels=4)
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    loaded = mobilenet_v2(width_mult=0.25, in_channels=4, weights=tmp_path / "w.pth")
    assert torch.equal(loaded.stem.conv.weight, trained.stem.conv.weight)
    with pytest.raises(InputError, match=r"stem\.conv\.weight is \(8, 4, 3, 3\)"):
        mobilenet_v2(width_mult=0.25, weights=tmp_path / "w.pth")
