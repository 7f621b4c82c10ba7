"""Covers published/convert.py, published/load.py.

Weights for parts from outside: their own names are asked for, and what they don't say is refused.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from pocketvision.backbones import TimmBackbone
from pocketvision.backbones.pretrained import load_pretrained
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import Library
from pocketvision.core.resize import Resize
from pocketvision.core.structures import FeatureInfo, Features
from pocketvision.core.weights import save_weights
from pocketvision.heads import ClassifierHead, LRASPPHead
from pocketvision.models import Classifier, Segmenter
from pocketvision.published.class_surgery import match_classes
from pocketvision.published.load import load_weights
from pocketvision.published.provenance import describe_source

NAME = "mobilenetv4_conv_small_050"
RESIZE = Resize((64, 64))


class NamedBackbone(TimmBackbone):
    """Says what timm calls its layers: the same, without ``model.`` in front."""

    def published_names(self, library: Library) -> dict[str, str]:
        if library != "timm":
            raise ValueError(f"{library} has no MobileNetV4: choose 'timm'.")
        return {name: name.removeprefix("model.") for name, _ in self.named_modules()}


class PlainHead(nn.Module):
    """Does not say which rows are classes."""

    def __init__(self, feature_info: dict[str, FeatureInfo], num_classes: int) -> None:
        super().__init__()
        self.name, info = list(feature_info.items())[-1]
        self.last = nn.Linear(info.channels, num_classes)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.last(features[self.name].mean((2, 3)))
        return logits


def v4(kind: type[TimmBackbone] = TimmBackbone, **options: Any) -> Any:
    return kind(timm.create_model(NAME, pretrained=False, features_only=True, **options))


def segmenter(kind: type[TimmBackbone]) -> Segmenter:
    head = partial(LRASPPHead, low=("c3",), high="c5", channels=8)
    return Segmenter(v4(kind, out_indices=(2, 4)), head, ("a", "b"), RESIZE)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """timm's own file of the classifier."""
    torch.manual_seed(1)
    state = timm.create_model(NAME, pretrained=False).state_dict()
    torch.save(state, tmp_path / "v4.pth")
    return tmp_path / "v4.pth", state


def test_a_backbone_that_knows_its_names_takes_a_library_s_file(file: tuple[Path, dict[str, Tensor]]) -> None:
    path, theirs = file
    model = segmenter(NamedBackbone)
    loaded = load_weights(model, path)
    own = model.backbone.model.state_dict()  # type: ignore[attr-defined]
    assert loaded.report.num_matched == len(own) and own
    assert all(torch.equal(value, theirs[name]) for name, value in own.items())


def test_its_stem_is_adapted_to_other_images(file: tuple[Path, dict[str, Tensor]]) -> None:
    path, theirs = file
    gray = v4(NamedBackbone, in_chans=1)
    load_pretrained(gray, path)
    torch.testing.assert_close(gray.model.conv_stem.weight, theirs["conv_stem.weight"].sum(1, keepdim=True))


def test_one_that_does_not_is_refused_in_a_sentence(file: tuple[Path, dict[str, Tensor]]) -> None:
    path, _ = file
    with pytest.raises(
        InputError, match=r"v4\.pth has timm's names, but a TimmBackbone has no published_names"
    ):
        load_weights(segmenter(TimmBackbone), path)
    head = partial(ClassifierHead, feature="c5")
    with pytest.raises(InputError, match=r"v4\.pth does not fit .* a TimmBackbone has no published_names"):
        load_weights(Classifier(v4(), head, ("a", "b"), RESIZE), path)
    with pytest.raises(InputError, match="torchvision has none for this architecture"):
        load_weights(segmenter(TimmBackbone), "imagenet")
    assert describe_source(segmenter(TimmBackbone), "imagenet") == {"source": "imagenet", "url": None}


def test_a_head_that_does_not_name_its_class_layers_keeps_to_its_classes(tmp_path: Path) -> None:
    """As many classes with other names fit tensor by tensor, and would be taken for the model's."""
    old = Classifier(v4(), PlainHead, ("a", "b"), RESIZE)
    save_weights(tmp_path / "old.safetensors", old, old.passport())
    again = Classifier(v4(), PlainHead, ("a", "b"), RESIZE)
    load_weights(again, tmp_path / "old.safetensors")
    assert torch.equal(again.head.last.weight, old.head.last.weight)  # type: ignore[union-attr]
    sentence = r"old\.safetensors was trained with other classes .* PlainHead has no class_layers\(\)"
    for names in (("b", "a"), ("a", "b", "c")):
        with pytest.raises(InputError, match=sentence):
            load_weights(Classifier(v4(), PlainHead, names, RESIZE), tmp_path / "old.safetensors")
    assert match_classes(again, old.state_dict(), None)[1] is None
