"""Whole models of torchvision and timm: state dicts both ways without a leftover, and what they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, lraspp_mobilenet_v3_large

from pocketvision.configs import (
    classifier_v1_imagenet,
    classifier_v2_imagenet,
    classifier_v3_large_imagenet,
    classifier_v3_small_imagenet,
    deeplabv3_v3_large_voc,
    lraspp_v3_large_voc,
    ssdlite_v3_large_coco,
)
from pocketvision.core.protocols import Library
from pocketvision.core.structures import BoxTarget
from pocketvision.core.weights import load_state_dict
from pocketvision.losses import SSDLoss
from pocketvision.models import Detector, VisionModel
from pocketvision.published.catalog import published_class_names
from pocketvision.published.convert import from_published, to_published

Randomize = Callable[[nn.Module], nn.Module]
NUM_CLASSES = 21
CLASSES = tuple(f"class {i}" for i in range(NUM_CLASSES))
COCO_SLOTS = published_class_names("coco")


def convert(model: VisionModel, theirs: nn.Module, library: Library) -> None:
    """Load ``theirs`` into ``model``; there and back nothing is left over or changed."""
    published = theirs.state_dict()
    state = from_published(model, published, library)
    assert state.keys() == model.state_dict().keys()
    report = load_state_dict(model.eval(), state, library)
    assert report.num_matched == report.num_tensors and not report.unused
    back = to_published(model, library)
    assert back.keys() == published.keys()
    for name, value in published.items():
        assert torch.equal(back[name], value), name


def pixels(*size: int) -> Tensor:
    return torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(0)).float()


def assert_parity(ours: Tensor, theirs: Tensor) -> None:
    scale = theirs.std()
    assert scale > 1e-3, "outputs that are all the same would prove nothing"
    torch.testing.assert_close(ours / scale, theirs / scale, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "library", "name"),
    [
        (classifier_v2_imagenet, "torchvision", "mobilenet_v2"),
        (classifier_v3_large_imagenet, "torchvision", "mobilenet_v3_large"),
        (classifier_v3_small_imagenet, "torchvision", "mobilenet_v3_small"),
        (classifier_v1_imagenet, "timm", "mobilenetv1_100"),
        (classifier_v2_imagenet, "timm", "mobilenetv2_100"),
        (classifier_v3_large_imagenet, "timm", "tf_mobilenetv3_large_100"),
        (classifier_v3_small_imagenet, "timm", "tf_mobilenetv3_small_100"),
    ],
)
def test_classifiers(config: Any, library: Library, name: str, as_trained: Randomize) -> None:
    if library == "timm":
        theirs = as_trained(timm.create_model(name, pretrained=False, num_classes=NUM_CLASSES))
    else:
        theirs = as_trained(getattr(torchvision.models, name)(num_classes=NUM_CLASSES))
    model = config.model(CLASSES, image_size=(65, 65), weights=None)  # odd: SAME padding is symmetric
    convert(model, theirs, library)
    images = pixels(65, 65)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # timm's epsilon differs from the papers' where it is native
            module.eps = next(m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)).eps
    assert_parity(model(images), theirs(model.normalize(images)))


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "builder"),
    [
        (lraspp_v3_large_voc, lraspp_mobilenet_v3_large),
        (deeplabv3_v3_large_voc, deeplabv3_mobilenet_v3_large),
    ],
)
def test_segmenters(config: Any, builder: Callable[..., Any], as_trained: Randomize) -> None:
    has_auxiliary = builder is deeplabv3_mobilenet_v3_large
    options = {"aux_loss": True} if has_auxiliary else {}
    theirs = as_trained(builder(weights=None, weights_backbone=None, num_classes=NUM_CLASSES, **options))
    model = config.model(CLASSES, weights=None)
    convert(model, theirs, "torchvision")
    images = pixels(97, 128)
    expected, ours = theirs(model.normalize(images)), model.forward_all(images)
    for mine, name in (("logits", "out"), *([("auxiliary", "aux")] if has_auxiliary else [])):
        resized = nn.functional.interpolate(ours[mine], (97, 128), mode="bilinear", align_corners=False)
        assert_parity(resized, expected[name])


@pytest.fixture(scope="module")
def ssdlite(published_ssdlite: Any) -> tuple[Detector, Any]:
    """Ours and torchvision's with the same weights."""
    model = ssdlite_v3_large_coco.model(COCO_SLOTS)
    convert(model, published_ssdlite, "torchvision")
    return model, published_ssdlite


@torch.no_grad()
def test_raw_outputs(ssdlite: tuple[Detector, Any]) -> None:
    model, theirs = ssdlite
    images = pixels(320, 320)
    output = model(images)
    expected = theirs.head(list(theirs.backbone(theirs.transform(list(images / 255))[0].tensors).values()))
    background_first = expected["cls_logits"].roll(-1, dims=-1)
    torch.testing.assert_close(output.class_logits, background_first, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(output.box_deltas, expected["bbox_regression"], rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_detections(ssdlite: tuple[Detector, Any], assert_same_detections: Any) -> None:
    model, theirs = ssdlite
    images = (pixels(320, 320) // 86) * 127.5  # values that both normalize without rounding
    scores = model.postprocess.scores(model(images).class_logits)
    assert scores.min() < 0.05 and scores.max() > 0.9 and len(scores.unique()) > 10_000
    ours = model.predict(images).unpad()
    for mine, expected in zip(ours, theirs(list(images / 255)), strict=True):
        assert_same_detections(mine, expected)


def test_losses(ssdlite: tuple[Detector, Any]) -> None:
    """With boxes on every image the losses are the same; without, ours teaches (docs: SSDLoss)."""
    model, theirs = ssdlite
    images = pixels(320, 320)
    boxes = torch.tensor([[10.0, 20.0, 130.0, 200.0], [100.0, 90.0, 310.0, 300.0], [5.0, 5.0, 90.0, 80.0]])
    labels = torch.tensor([0, 16, 43])
    targets = [BoxTarget(boxes, labels, 1, (320, 320)), BoxTarget(boxes[1:], labels[1:], 2, (320, 320))]
    theirs.train()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    published = [{"boxes": t.boxes, "labels": t.labels + 1} for t in targets]
    expected = theirs(list(images / 255), published)
    theirs.eval()
    losses = SSDLoss(min_negatives_per_image=0)(model(images), targets)
    assert sum(losses.values()).item() == pytest.approx(sum(expected.values()).item(), rel=1e-4)


def test_libraries_without_such_a_model() -> None:
    model = lraspp_v3_large_voc.model(CLASSES, weights=None)
    with pytest.raises(ValueError, match="timm has no segmenters"):
        to_published(model, "timm")
    with pytest.raises(ValueError, match="torchvision has no MobileNetV1"):
        to_published(classifier_v1_imagenet.model(CLASSES, weights=None), "torchvision")
