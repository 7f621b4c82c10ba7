"""Whole segmenters: published sizes and label maps of the original size."""

from __future__ import annotations

import copy
import json
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v2, mobilenet_v3_small
from pocketvision.configs import lraspp_v3_large_cityscapes, lraspp_v3_small_cityscapes
from pocketvision.core.resize import Resize
from pocketvision.core.structures import FeatureInfo, Features, MaskTarget
from pocketvision.heads import FCNHead, LRASPPHead
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Segmenter
from pocketvision.models.segmenter import label_maps

CITYSCAPES = tuple(f"class {i}" for i in range(19))


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def segmenter(mode: str = "stretch") -> Segmenter:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(
        width_mult=0.35, output_stride=16, reduced_tail="segmentation", out_features=("c3_depthwise", "last")
    )
    head = partial(LRASPPHead, channels=16)
    return Segmenter(backbone, head, ("road", "sky", "car"), Resize((64, 96), mode=mode)).eval()


def images(number: int = 2, height: int = 64, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("width_mult", "channels", "published"),
    [(1.0, 128, 987_174), (1.0, 256, 1_030_950), (0.5, 128, 282_598), (0.35, 128, 168_502)],
)
def test_published_parameter_counts_of_v2(width_mult: float, channels: int, published: int) -> None:
    """Table 7 of arXiv:1905.02244, rows 4, 3, 9 and 10: reduced V2 without its last convolution."""
    backbone = mobilenet_v2(
        width_mult=width_mult, output_stride=16, reduced_tail=True, out_features=("c3_depthwise", "c5")
    )
    head = partial(LRASPPHead, channels=channels, low=("c3_depthwise",), high="c5")
    assert count(Segmenter(backbone, head, CITYSCAPES, Resize((1024, 2048)))) == published


def test_published_parameter_counts_of_v3() -> None:
    """Table 7, rows 8, 7 and 11."""
    large = lraspp_v3_large_cityscapes.model(CITYSCAPES)
    assert count(large) == 1_507_198
    wider = LRASPPHead(large.backbone.feature_info, 19, channels=256)
    assert count(large.backbone) + count(wider) == 1_632_894
    assert count(lraspp_v3_small_cityscapes.model(CITYSCAPES)) == 468_830


@torch.no_grad()
@pytest.mark.parametrize(("height", "width", "shape"), [(64, 96, (8, 12)), (65, 97, (9, 13))])
def test_logits_have_the_resolution_of_the_low_feature(
    height: int, width: int, shape: tuple[int, int]
) -> None:
    for model in (segmenter().train(), segmenter()):
        assert model(images(2, height, width)).shape == (2, 3, *shape)
    floats = segmenter()(images(2, height, width).float())
    assert torch.equal(floats, segmenter()(images(2, height, width)))


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_label_maps_have_the_original_sizes(mode: str) -> None:
    sizes = [(50, 77), (128, 40)]
    labels = segmenter(mode).predict(images(), sizes)
    assert [tuple(label.shape) for label in labels] == sizes
    assert all(label.dtype == torch.uint8 and label.max() < 3 for label in labels)
    with pytest.raises(ValueError, match="zip"):
        segmenter(mode).predict(images(), sizes[:1])


class Oracle(nn.Module):
    """A backbone that hands on the image, and a head that sees red, green and blue."""

    feature_info = {"image": FeatureInfo(3, 1)}  # noqa: RUF012

    def forward(self, x: Tensor | Features) -> Features | Tensor:
        return {"image": x} if isinstance(x, Tensor) else x["image"]


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_a_perfect_network_gives_the_truth(mode: str) -> None:
    truth = torch.zeros(40, 40, dtype=torch.uint8)
    truth[:20, 20:], truth[20:] = 1, 2
    picture = torch.zeros(40, 40, 3, dtype=torch.uint8)
    picture.scatter_(2, truth[..., None].long(), 255)
    resize, oracle = Resize((80, 160), mode=mode, fill=0), Oracle()
    model = Segmenter(oracle, lambda **_: oracle, ("red", "green", "blue"), resize, (0.0,) * 3, (1.0,) * 3)
    batch = torch.from_numpy(resize.apply(picture.numpy())).permute(2, 0, 1)[None]
    (found,) = model.predict(batch, [(40, 40)])
    assert torch.equal(found, truth)


def auxiliary_segmenter() -> Segmenter:
    torch.manual_seed(0)
    backbone = mobilenet_v3_small(
        width_mult=0.35, output_stride=16, out_features=("c3_depthwise", "c4", "last")
    )
    names, auxiliary = ("road", "sky", "car"), partial(FCNHead, feature="c4")
    return Segmenter(backbone, LRASPPHead, names, Resize((64, 96)), auxiliary_head=auxiliary)


@torch.no_grad()
def test_an_auxiliary_head_only_speaks_when_all_is_asked_for() -> None:
    model = auxiliary_segmenter().eval()
    outputs = model.forward_all(images())
    assert list(outputs) == ["logits", "auxiliary"]
    assert torch.equal(outputs["logits"], model(images()))
    assert outputs["logits"].shape == (2, 3, 8, 12) and outputs["auxiliary"].shape == (2, 3, 4, 6)
    features = model.backbone(model.normalize(images()))
    assert torch.equal(outputs["auxiliary"], model.auxiliary_head(features))
    assert list(segmenter().forward_all(images())) == ["logits"]
    assert any(key.startswith("auxiliary_head.logits") for key in model.state_dict())


def test_every_parameter_learns_from_one_image() -> None:
    model = segmenter().train()
    target = MaskTarget(torch.zeros(8, 12, dtype=torch.uint8), 0, (64, 96))
    SegmentationCrossEntropy()(model(images(1)), [target])["cross_entropy"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_copies_state_dicts_and_passport() -> None:
    model, other = segmenter(), segmenter()
    for parameter in model.parameters():
        parameter.mul_(1.1)
    other.load_state_dict(model.state_dict())
    for again in (other, copy.deepcopy(model)):
        assert torch.equal(again(images()), model(images()))
    passport = json.loads(json.dumps(model.passport()))
    assert passport["task"] == "segmentation" and passport["class_names"] == ["road", "sky", "car"]
    assert passport["resize"] == {
        "image_size": [64, 96], "mode": "stretch", "interpolation": "bilinear", "antialias": False,
        "fill": 114, "crop_share": 0.875,
    }  # fmt: skip


def test_a_reserved_class_is_never_predicted_even_at_the_border() -> None:
    """Its logits as -inf would become NaN, and so the best, wherever interpolation weighs them with 0."""
    logits = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits[:, 1] = 100.0
    for size in ((64, 64), (30, 40), (300, 200)):
        (labels,) = label_maps(logits, ("road", None, "sky"), Resize((64, 64)), [size])
        assert labels.shape == size and set(labels.unique().tolist()) == {0, 2}
