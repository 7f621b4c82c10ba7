"""Covers published/tensorflow/run_graph.py.

The parity report says how far a converted model is from its file, and sees it when it is far.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import mobilenet_v2 as their_mobilenet_v2

from pocketvision.backbones import WithExtraBlocks, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.resize import Resize
from pocketvision.core.weights import save_weights
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, Segmenter, VisionModel
from pocketvision.published.load import load_weights
from pocketvision.published.parity import measure_parity

SIZE = (66, 66)
INPUTS: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
SMALL: dict[str, Any] = {"width_mult": 0.25, "padding": "same", "norm_eps": 1e-3}
IMAGES = torch.randint(0, 256, (1, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


def classifier() -> Classifier:
    head = partial(ClassifierHead, hidden_channels=32)
    return Classifier(
        mobilenet_v3_small(out_features=("last",), **SMALL), head, ("a", "b"), Resize(SIZE), **INPUTS
    )


def detector() -> Detector:
    taps = WithExtraBlocks(mobilenet_v2(out_features=("c4_expand", "last"), **SMALL), (16,), padding="same")
    return Detector(taps, SSDLiteHead, ("a", "b"), Resize(SIZE), TensorFlowAnchors(), **INPUTS)


def segmenter() -> Segmenter:
    taps = mobilenet_v2(out_features=("c3_depthwise", "c5"), output_stride=16, **SMALL)
    head = partial(LRASPPHead, high="c5", channels=16)
    return Segmenter(taps, head, ("a", "b"), Resize(SIZE), **INPUTS)


def difference(report: str) -> float:
    found = re.search(r"to (\S+) of its RMS", report)
    assert found is not None, report
    return float(found[1])


@pytest.mark.parametrize(("make", "num_unknown"), [(classifier, 0), (detector, 0), (segmenter, 2)])
def test_with_the_graph_of_the_file(
    make: Any, num_unknown: int, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    """The gate of LR-ASPP is pooled in another form in the tests' graph: two layers are not compared."""
    path, source, model = tmp_path / "graph.pb", as_trained(make()), make()
    write_graph(source, source.normalize(IMAGES), path)
    loaded = load_weights(model, path)
    report = measure_parity(model, path, loaded.nodes).sentence
    num_layers = len(loaded.nodes) - 1
    assert f"what reaches {num_layers - num_unknown} of {num_layers} layers" in report
    assert difference(report) < 1e-4
    assert ("the others come after AvgPool" in report) == (num_unknown > 0)
    with torch.no_grad():
        model.backbone.state_dict()[next(iter(model.backbone.state_dict()))].mul_(1.1)
    assert difference(measure_parity(model, path, loaded.nodes).sentence) > 1e-2, "the stem is another"
    assert model.training, "the model is left as it was"


def test_a_file_for_images_of_one_size_is_compared_at_it(
    tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    """Its poolings are for no others: Google's V3-Small at 224, imported into a detector at 320."""
    path, source = tmp_path / "graph.pb", as_trained(classifier())
    graph = write_graph(source, source.normalize(IMAGES), path)
    for side in (1, *SIZE, 3):
        graph.node[0].attr["shape"].shape.dim.add(size=side)
    path.write_bytes(graph.SerializeToString())
    model, sizes = classifier(), list[tuple[int, ...]]()
    model.resize = Resize((98, 98))
    nodes = load_weights(model, path).nodes
    model.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    assert difference(measure_parity(model, path, nodes).sentence) < 1e-4
    assert sizes == [SIZE]


def test_with_torchvisions_own_model(tmp_path: Path, as_trained: Any) -> None:
    source: Any = as_trained(their_mobilenet_v2(num_classes=3))
    torch.save(source.state_dict(), tmp_path / "v2.pth")
    model = Classifier(mobilenet_v2(out_features=("last",)), ClassifierHead, ("a", "b", "c"), Resize(SIZE))
    load_weights(model, tmp_path / "v2.pth")
    report = measure_parity(model, tmp_path / "v2.pth", {}).sentence
    assert "torchvision's mobilenet_v2" in report and difference(report) < 1e-5
    with torch.no_grad():
        model.head.class_logits.bias += 1
    assert difference(measure_parity(model, tmp_path / "v2.pth", {}).sentence) > 1e-2


def test_what_can_not_be_compared_says_so(tmp_path: Path) -> None:
    model: VisionModel = classifier()
    save_weights(tmp_path / "ours.safetensors", model, model.passport())
    assert "not compared" in measure_parity(model, tmp_path / "ours.safetensors", {}).sentence
    assert "not compared" in measure_parity(model, tmp_path / "model.index", {}).sentence
    narrow: Any = their_mobilenet_v2(width_mult=0.25, num_classes=2)
    torch.save(narrow.state_dict(), tmp_path / "narrow.pth")
    model = Classifier(
        mobilenet_v2(width_mult=0.25, out_features=("last",)), ClassifierHead, ("a", "b"), Resize(SIZE)
    )
    load_weights(model, tmp_path / "narrow.pth")
    assert "no model of this width" in measure_parity(model, tmp_path / "narrow.pth", {}).sentence
