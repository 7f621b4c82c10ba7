"""Covers published/tensorflow/pairing.py.

A classifier's file of TensorFlow's starts a detector or segmenter; what shapes don't show is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.layers import BatchNorm
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, Segmenter
from pocketvision.published.load import load_weights
from pocketvision.published.tensorflow import import_file as tensorflow
from pocketvision.published.tensorflow.import_file import import_tensorflow, read_layers
from pocketvision.published.tensorflow.model_layers import model_layers
from pocketvision.published.tensorflow.pairing import is_classifier

SIZE = (66, 66)
SMALL: dict[str, Any] = {"width_mult": 0.25, "padding": "same", "norm_eps": 1e-3}
IMAGES = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


def detector(backbone: Callable[..., Any], mean: float = 0.5) -> Detector:
    taps = backbone(out_features=("c4_expand", "last"), **SMALL)
    return Detector(
        WithExtraBlocks(taps, channels=(16,), padding="same"), SSDLiteHead, ("a", "b"), Resize(SIZE),
        TensorFlowAnchors(), mean=(mean,) * 3, std=(0.5,) * 3,
    )  # fmt: skip


def segmenter(backbone: Callable[..., Any]) -> Segmenter:
    """Without the last layers, and dilated."""
    taps = backbone(out_features=("c3_depthwise", "c5"), output_stride=16, **SMALL)
    head = partial(LRASPPHead, high="c5", channels=16)
    return Segmenter(taps, head, ("a", "b"), Resize(SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)


def classifier(backbone: Callable[..., Any]) -> Classifier:
    hidden = None if backbone is mobilenet_v2 else 32
    return Classifier(
        backbone(out_features=("last",), **SMALL),
        partial(ClassifierHead, hidden_channels=hidden),
        tuple("abcde"),
        Resize(SIZE),
    )


@pytest.mark.parametrize("model", [detector, segmenter])
@pytest.mark.parametrize("backbone", [mobilenet_v2, mobilenet_v3_small])
def test_its_backbone_is_taken(
    backbone: Any, model: Any, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source, path = as_trained(classifier(backbone)), tmp_path / "classifier.pb"
    write_graph(source, source.normalize(IMAGES), path)
    mine = model(backbone)
    head = {name: value.clone() for name, value in mine.head.state_dict().items()}
    loaded = load_weights(mine, path)
    theirs = source.backbone.state_dict()
    own = getattr(mine.backbone, "backbone", mine.backbone).state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in own.items())
    assert all(torch.equal(value, head[name]) for name, value in mine.head.state_dict().items())
    assert loaded.report.note == "the backbone of a classifier" and loaded.report.num_matched == len(own)
    assert "class_ids" not in loaded.facts, "they are not the model's"


def test_folded_norms_of_the_backbone_only_are_frozen(
    tmp_path: Path, as_trained: Any, monkeypatch: pytest.MonkeyPatch, write_graph: Any
) -> None:
    source, path = as_trained(classifier(mobilenet_v2)), tmp_path / "classifier.pb"
    write_graph(source, source.normalize(IMAGES), path)
    layers = [replace(layer, norm=None, bias=_zeros(layer)) for layer in read_layers(path)]
    monkeypatch.setattr(tensorflow, "read_layers", lambda _: layers)
    mine = detector(mobilenet_v2)
    assert load_weights(mine, path).facts["is_norm_folded"]
    norms = {name: module.is_frozen for name, module in mine.named_modules() if isinstance(module, BatchNorm)}
    assert all(frozen == name.startswith("backbone.backbone.") for name, frozen in norms.items())
    assert set(norms.values()) == {True, False}


def _zeros(layer: Any) -> Any:
    return np.zeros(len(layer.kernel), np.float32)


@pytest.mark.parametrize("model", [detector, segmenter])
def test_whole_detectors_and_segmenters_are_no_classifiers(
    model: Any, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source = as_trained(model(mobilenet_v2))
    write_graph(source, source.normalize(IMAGES), tmp_path / "a.pb")
    assert not is_classifier(read_layers(tmp_path / "a.pb"))
    with pytest.raises(InputError, match="does not fit the model"):
        load_weights(detector(mobilenet_v3_small), tmp_path / "a.pb")


def test_another_normalisation_is_told(
    tmp_path: Path, write_graph: Any, as_trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source, path = as_trained(classifier(mobilenet_v2)), tmp_path / "classifier.pb"
    write_graph(source, source.normalize(IMAGES), path)
    with caplog.at_level(logging.WARNING, "pocketvision"):
        load_weights(detector(mobilenet_v2), path)
        assert not caplog.text
        load_weights(detector(mobilenet_v2, mean=0.4), path)
    assert "was trained with mean (0.5, 0.5, 0.5), this model has [0.4" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Relu6", "Relu", "stem.conv is followed by relu6, in the file by relu:"),
        ("AddV2", "Relu6", "project.conv is followed by no activation, in the file by relu6:"),
    ],
)
def test_another_activation_is_refused(
    old: str, new: str, sentence: str, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    """All shapes are the same: only what follows the layers tells."""
    source, path = as_trained(classifier(mobilenet_v2)), tmp_path / "classifier.pb"
    graph = write_graph(source, source.normalize(IMAGES), path)
    for node in graph.node:
        if node.op == old:
            node.op = new
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match=sentence):
        import_tensorflow(classifier(mobilenet_v2), path)


def test_activations_of_a_model_are_seen() -> None:
    kinds = {layer.name: layer.activation for layer in model_layers(classifier(mobilenet_v3_small), SIZE)}
    assert kinds["backbone.stem.conv"] == "hardswish" and kinds["backbone.blocks.1.expand.conv"] == "relu"
    assert kinds["backbone.blocks.1.project.conv"] is None and kinds["head.class_logits"] is None


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_torchvisions_epsilon_is_made_up_for(
    eps: float, tmp_path: Path, as_trained: Callable[[nn.Module], nn.Module]
) -> None:
    """torchvision's MobileNetV2 has 1e-5; a model with TensorFlow's 1e-3 computes the same."""
    from torchvision.models import mobilenet_v2 as theirs

    source: Any = as_trained(theirs(width_mult=0.25, num_classes=3)).eval()
    with torch.no_grad():
        for module in source.modules():
            if isinstance(module, nn.BatchNorm2d):  # narrow maps, for which the epsilon matters
                module.running_var /= 400
                module.weight /= 20
    torch.save(source.state_dict(), tmp_path / "v2.pth")
    backbone = mobilenet_v2(width_mult=0.25, norm_eps=eps, out_features=("c3_depthwise", "last"))
    mine = Segmenter(backbone, partial(LRASPPHead, channels=16), ("a", "b"), Resize(SIZE))
    load_weights(mine, tmp_path / "v2.pth")
    with torch.no_grad():
        expected: Tensor = source.features(IMAGES / 255)
        torch.testing.assert_close(mine.eval().backbone(IMAGES / 255)["last"], expected, rtol=1e-4, atol=1e-4)
