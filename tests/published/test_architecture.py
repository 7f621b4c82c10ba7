"""Weights of another architecture are refused by name, whoever named their tensors."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.configs import (
    classifier_v2_imagenet,
    lraspp_v3_small_cityscapes,
    ssdlite_v2_coco,
    ssdlite_v3_large_coco,
)
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import LRASPPHead
from pocketvision.models import Segmenter
from pocketvision.published.architecture import (
    V1,
    V2,
    V3_LARGE,
    V3_SMALL,
    Family,
    family_of,
    family_of_layers,
    refuse_other_state,
)
from pocketvision.published.load import load_weights, look_at_weights

models = torchvision.models
BUILDERS: dict[str, tuple[Callable[..., nn.Module], Family | None]] = {
    "ours v1": (mobilenet_v1, V1),
    "ours v2": (partial(mobilenet_v2, width_mult=0.35), V2),
    "ours v3 large": (mobilenet_v3_large, V3_LARGE),
    "ours v3 large, minimalistic": (partial(mobilenet_v3_large, minimalistic=True), V3_LARGE),
    "ours v3 small": (mobilenet_v3_small, V3_SMALL),
    "torchvision v2": (models.mobilenet_v2, V2),
    "torchvision v3 large": (models.mobilenet_v3_large, V3_LARGE),
    "torchvision v3 small": (models.mobilenet_v3_small, V3_SMALL),
    "torchvision ssdlite": (
        partial(models.detection.ssdlite320_mobilenet_v3_large, weights=None, weights_backbone=None),
        V3_LARGE,
    ),
    "torchvision lraspp": (
        partial(models.segmentation.lraspp_mobilenet_v3_large, weights=None, weights_backbone=None),
        V3_LARGE,
    ),
    "torchvision resnet": (models.resnet18, None),
    "ours ssdlite": (partial(ssdlite_v2_coco.model, ("a",), weights=None), V2),
    "ours lraspp": (partial(lraspp_v3_small_cityscapes.model, ("a",), weights=None), V3_SMALL),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_families_by_their_tensors(name: str) -> None:
    build, family = BUILDERS[name]
    with torch.device("meta"):
        assert family_of(build().state_dict()) == family


@pytest.mark.parametrize(("name", "family"), [
    ("mobilenetv1_100", V1), ("mobilenetv2_100", V2),
    ("mobilenetv3_large_100", V3_LARGE), ("tf_mobilenetv3_small_075", V3_SMALL),
])  # fmt: skip
def test_timm_s(name: str, family: Family) -> None:
    timm = pytest.importorskip("timm")
    assert family_of(timm.create_model(name, pretrained=False).state_dict()) == family


def test_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    cases: list[tuple[nn.Module, Any, str]] = [
        (models.mobilenet_v2(), ssdlite_v3_large_coco.model(("a",)),
         "is a MobileNetV2, this model a MobileNetV3-Large: choose --model ssdlite_v2 or a config"),
        (models.mobilenet_v3_small(), classifier_v2_imagenet.model(("a",), weights=None),
         "is a MobileNetV3-Small, this model a MobileNetV2: choose --model classifier_v3_small"),
        (models.resnet18(), lraspp_v3_small_cityscapes.model(("a",), weights=None), "is a ResNet"),
    ]  # fmt: skip
    for theirs, model, sentence in cases:
        torch.save({"model": theirs.state_dict()}, path)
        for refused in (load_weights, look_at_weights):
            with pytest.raises(InputError, match=rf"w\.pth {sentence}"):
                refused(model, path)


@pytest.mark.parametrize("build", [mobilenet_v1, mobilenet_v2, mobilenet_v3_large])
def test_a_backbone_that_ends_early_takes_its_own_weights(
    build: Callable[..., nn.Module], tmp_path: Path
) -> None:
    """13 depthwise layers of V2 up to c4 look like V1's."""
    head = partial(LRASPPHead, channels=8, low=("c2",), high="c4")
    model = Segmenter(build(out_features=("c2", "c4")), head, ("a",), Resize((64, 64)))
    refuse_other_state(model, build().state_dict(), tmp_path / "x.pth")
    with pytest.raises(InputError, match="is a MobileNetV3-Small, this model a "):
        refuse_other_state(model, mobilenet_v3_small().state_dict(), tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (V1, [f"MobilenetV1/MobilenetV1/Conv2d_{i}_depthwise" for i in range(1, 14)]),
        (V1, [f"conv_dw_{i}" for i in range(1, 14)]),
        (V2, ["expanded_conv_depthwise", *(f"block_{i}_depthwise" for i in range(1, 17))]),
        (V2, [f"FeatureExtractor/MobilenetV2/expanded_conv_{i}/depthwise" for i in range(17)]
             + [f"FeatureExtractor/MobilenetV2/layer_19_2_Conv2d_{i}_3x3_s2_depthwise" for i in range(2, 6)]
             + [f"BoxPredictor_{i}/ClassPredictor_depthwise" for i in range(6)]),
        (V3_LARGE, [f"MobilenetV3/expanded_conv_{i}/depthwise" for i in range(15)]),
        (V3_SMALL, [f"expanded_conv_{i}/depthwise/Relu/DepthwiseConv2dNative" for i in range(11)]),
        (None, [f"node_{i}" for i in range(11)]), (None, []),
        (None, [f"MobilenetV1/Conv2d_{i}_depthwise" for i in range(1, 12)] + ["head/depthwise"] * 4),
    ],
)  # fmt: skip
def test_tensorflow_s_names_tell_the_family(family: Family | None, names: list[str]) -> None:
    assert family_of_layers(names) == family


def test_a_file_of_tensorflow_s_is_refused_at_once() -> None:
    """A V3-Small for a V2 was refused after steps had been timed, and by the shape of a kernel."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    folder = Path(os.environ.get("POCKETVISION_SHARED", beside)) / "weights"
    if not folder.is_dir():
        pytest.skip(f"no published files: {folder} does not exist (set POCKETVISION_SHARED)")
    small, person = "mobilenet_v3_small_1.0_224_uint8.tflite", "ssdlite_mobilenet_v2_person_frozen.pb"
    for name, model, sentence in (
        (small, classifier_v2_imagenet.model(("a",), weights=None), "is a MobileNetV3-Small, this model"),
        (person, ssdlite_v3_large_coco.model(("a",)), "is a MobileNetV2, .* choose --model ssdlite_v2 or"),
    ):
        for refused in (load_weights, look_at_weights):
            with pytest.raises(InputError, match=sentence):
                refused(model, folder / name)
