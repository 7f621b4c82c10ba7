"""DeepLabv3's head against torchvision's and the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead as TorchvisionFCNHead

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large
from pocketvision.core.structures import FeatureInfo
from pocketvision.heads import DeepLabV3Head, FCNHead

INFO = {"c3_first": FeatureInfo(24, 8), "c5": FeatureInfo(12, 16)}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def published(ours: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """``state`` under torchvision's names."""
    names = ours.published_names("torchvision")
    pairs = [(key.rpartition("."), tensor) for key, tensor in state.items()]
    return {f"{names[module]}.{leaf}": tensor for (module, _, leaf), tensor in pairs}


def randomize(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.9, generator=generator).sub_(0.45 if tensor.dim() == 4 else 0.0)


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)])
def test_equals_torchvision(size: tuple[int, int]) -> None:
    ours = DeepLabV3Head(INFO, 5, form="torchvision").eval()
    theirs = DeepLabHead(12, 5).eval()
    randomize(ours)
    theirs.load_state_dict(published(ours, ours.state_dict()))
    x = torch.randn(2, 12, *size)
    torch.testing.assert_close(ours({"c5": x}), theirs(x), rtol=1e-4, atol=1e-4)


def test_equals_torchvision_in_training() -> None:
    """Dropout aside, whose random numbers are the same only where it is drawn in the same order."""
    ours, theirs = DeepLabV3Head(INFO, 5, form="torchvision").train(), DeepLabHead(12, 5).train()
    theirs.load_state_dict(published(ours, ours.state_dict()))
    x = torch.randn(2, 12, 4, 6)
    torch.manual_seed(1)
    found = ours({"c5": x})
    torch.manual_seed(1)
    expected = theirs(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.square().mean().backward()
    expected.square().mean().backward()
    torch.testing.assert_close(ours.point.conv.weight.grad, theirs[0].convs[0][0].weight.grad)
    torch.testing.assert_close(ours.project.norm.running_var, theirs[0].project[1].running_var)


@torch.no_grad()
def test_the_auxiliary_head_equals_torchvision() -> None:
    ours, theirs = FCNHead(INFO, 5).eval(), TorchvisionFCNHead(24, 5).eval()
    randomize(ours)
    theirs.load_state_dict(published(ours, ours.state_dict()))
    x = torch.randn(2, 24, 5, 7)
    torch.testing.assert_close(ours({"c3_first": x}), theirs(x), rtol=1e-4, atol=1e-5)
    assert ours.dropout.p == theirs[3].p


def test_published_parameter_counts_of_voc() -> None:
    """Table 7 of arXiv:1801.04381: 2.11M, 4.52M and 11.15M."""
    v2 = mobilenet_v2(output_stride=16, out_features=("c5",))
    v1 = mobilenet_v1(output_stride=16, out_features=("c5",))
    assert count(v2, DeepLabV3Head(v2.feature_info, 21)) == 2_113_557
    assert count(v2, DeepLabV3Head(v2.feature_info, 21, form="aspp")) == 4_523_541
    assert count(v1, DeepLabV3Head(v1.feature_info, 21, form="aspp")) == 11_145_301


@pytest.mark.parametrize(("reduced_tail", "published"), [(None, 3_600_963), ("segmentation", 1_762_435)])
def test_published_parameter_counts_of_cityscapes(reduced_tail: str | None, published: int) -> None:
    """Table 7 of arXiv:1905.02244, rows 5 and 6."""
    v3 = mobilenet_v3_large(output_stride=16, reduced_tail=reduced_tail, out_features=("last",))
    assert count(v3, DeepLabV3Head(v3.feature_info, 19, feature="last")) == published


def test_published_parameter_count_of_torchvision() -> None:
    v3 = mobilenet_v3_large(output_stride=16, out_features=("c3_first", "last"))
    head = DeepLabV3Head(v3.feature_info, 21, form="torchvision", feature="last")
    assert count(v3, head, FCNHead(v3.feature_info, 21)) == 11_029_328


@pytest.mark.parametrize(
    ("form", "stride", "rates", "expected"),
    [
        ("aspp", 32, None, (3, 6, 9)),
        ("aspp", 16, None, (6, 12, 18)),
        ("aspp", 8, None, (12, 24, 36)),
        ("aspp", 8, (1, 2), (1, 2)),
        ("raspp", 16, None, ()),
        ("raspp", 16, (), ()),
        ("torchvision", 16, None, (12, 24, 36)),
        ("torchvision", 16, (6, 12, 18), (6, 12, 18)),
    ],
)
def test_rates(form: str, stride: int, rates: tuple[int, ...] | None, expected: tuple[int, ...]) -> None:
    head = DeepLabV3Head({"c5": FeatureInfo(12, stride)}, 5, channels=8, form=form, rates=rates)
    assert tuple(branch.conv.dilation[0] for branch in head.atrous) == expected
    assert head({"c5": torch.randn(2, 12, 5, 7)}).shape == (2, 5, 5, 7)


def test_separable_branches_and_no_pooling() -> None:
    """TensorFlow's flags: a depthwise and a 1x1 layer in each branch, and a mixing of one branch less."""
    head = DeepLabV3Head(INFO, 5, channels=8, form="aspp", separable_atrous=True, image_pooling=False)
    names = set(head.state_dict())
    assert "atrous.2.1.conv.weight" in names and not any(name.startswith("pooled") for name in names)
    depthwise = [branch[0].conv for branch in head.atrous]
    assert [conv.dilation[0] for conv in depthwise] == [6, 12, 18]
    assert all(conv.groups == conv.in_channels == 12 for conv in depthwise)
    assert count(head.atrous) == 3 * (12 * 9 + 2 * 12 + 12 * 8 + 2 * 8)
    assert head.project.conv.in_channels == 4 * 8
    x = torch.randn(2, 12, 5, 7)
    assert head({"c5": x}).shape == (2, 5, 5, 7)
    near, far = x.clone(), head.eval()({"c5": x})
    near[:, :, 0, 0] += 1  # without the average of the map and out of reach of the branches
    assert torch.equal(head({"c5": near})[:, :, 2, 3], far[:, :, 2, 3])
    plain = DeepLabV3Head(INFO, 5, channels=8, image_pooling=False)
    assert plain.project.conv.in_channels == 8
    with pytest.raises(ValueError, match="torchvision has form='torchvision'"):
        DeepLabV3Head(INFO, 5, form="torchvision", separable_atrous=True).published_names("torchvision")


def test_dropout() -> None:
    defaults = {
        form: DeepLabV3Head(INFO, 5, form=form).dropout.p for form in ("raspp", "aspp", "torchvision")
    }
    assert defaults == {"raspp": 0.1, "aspp": 0.1, "torchvision": 0.5}
    assert DeepLabV3Head(INFO, 5, dropout=0.0).dropout.p == 0.0


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="form is 'plus': choose 'raspp'"):
        DeepLabV3Head(INFO, 5, form="plus")
    with pytest.raises(ValueError, match="'raspp' has no atrous branches"):
        DeepLabV3Head(INFO, 5, rates=(6, 12, 18))
