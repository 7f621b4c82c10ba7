"""Covers published/tensorflow/class_rows.py, published/tensorflow/graph.py,
published/tensorflow/model_layers.py, published/tensorflow/names.py, published/tensorflow/pairing.py.

Models of several architectures go out as TensorFlow would store them and come back the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import (
    WithExtraBlocks,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, DeepLabV3Head, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, Segmenter
from pocketvision.published.tensorflow.class_rows import box_rows
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.import_file import import_tensorflow
from pocketvision.published.tensorflow.model_layers import model_layers

SIZE = (66, 66)  # even at every stride but the last: TensorFlow's padding is not symmetric
NAMES = tuple("abcdefgh")


def detector(backbone: Callable[..., Any], last: str, score: Any = "sigmoid", names: Any = NAMES) -> Detector:
    taps = backbone(out_features=(last.replace("last", "c4_expand").replace("c5", "c4"), last), **SMALL)
    return Detector(
        WithExtraBlocks(taps, channels=(16, 16), padding="same"), SSDLiteHead, names, Resize(SIZE),
        TensorFlowAnchors(), score_function=score, mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip


def classifier(backbone: Callable[..., Any], last: str, hidden: int | None, names: Any = NAMES) -> Classifier:
    return Classifier(
        backbone(out_features=(last,), **SMALL),
        partial(ClassifierHead, feature=last, hidden_channels=hidden),
        names,
        Resize(SIZE),
    )


def segmenter(backbone: Callable[..., Any], features: Any, head: Any, names: Any = NAMES) -> Segmenter:
    return Segmenter(backbone(out_features=features, output_stride=16, **SMALL), head, names, Resize(SIZE))


SMALL: dict[str, Any] = {"width_mult": 0.25, "padding": "same", "norm_eps": 1e-3}
PAPER_TAPS = ("c3_depthwise", "last")
BUILDERS: dict[str, Callable[..., Any]] = {
    "ssdlite v1": partial(detector, mobilenet_v1, "c5"),
    "ssdlite v2": partial(detector, mobilenet_v2, "last"),
    "ssdlite v3": partial(detector, mobilenet_v3_large, "last"),
    "classifier v1": partial(classifier, mobilenet_v1, "c5", None),
    "classifier v2": partial(classifier, mobilenet_v2, "last", None),
    "classifier v3": partial(classifier, mobilenet_v3_small, "last", 32),
    "lraspp v3": partial(segmenter, mobilenet_v3_large, PAPER_TAPS, partial(LRASPPHead, channels=16)),
    "lraspp v2": partial(segmenter, mobilenet_v2, PAPER_TAPS, partial(LRASPPHead, channels=16)),
    "raspp v2": partial(segmenter, mobilenet_v2, ("c5",), partial(DeepLabV3Head, channels=16)),
    "aspp v2": partial(segmenter, mobilenet_v2, ("c5",), partial(DeepLabV3Head, form="aspp", channels=16)),
}  # fmt: skip


def with_tensorflow_boxes(model: nn.Module) -> nn.Module:
    """``model`` with its box layers' rows as TensorFlow orders them: ty, tx, th, tw."""
    for name, layer in model.named_modules():
        if "box_blocks" in name and isinstance(layer, nn.Conv2d) and layer.bias is not None:
            rows = box_rows(layer.out_channels)  # the order is its own inverse
            layer.weight.data, layer.bias.data = layer.weight.data[rows], layer.bias.data[rows]
    return model


def outputs_of(model: Any, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        output = model.eval()(images)
    return [output] if isinstance(output, Tensor) else [output.class_logits, output.box_deltas]


IMAGES = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("kind", BUILDERS)
def test_a_graph_comes_back(
    kind: str, is_named: bool, tmp_path: Path, write_graph: Any, as_trained: Any, scope_of: Any
) -> None:
    torch.manual_seed(0)
    source, path = as_trained(BUILDERS[kind]()), tmp_path / "graph.pb"
    expected = outputs_of(source, IMAGES)
    write_graph(
        with_tensorflow_boxes(source), source.normalize(IMAGES), path, scope_of(source) if is_named else None
    )
    model = BUILDERS[kind]()
    imported = import_tensorflow(model, path)
    assert imported.facts["padding"] == "same" and not imported.facts["is_norm_folded"]
    assert not imported.report.unused
    for ours, theirs in zip(outputs_of(model, IMAGES), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["classifier v2", "lraspp v3", "raspp v2"])
def test_the_model_computes_what_the_graph_says(
    kind: str, tmp_path: Path, write_graph: Any, run_graph: Any, as_trained: Any
) -> None:
    """An interpreter that knows neither our models nor our reader's layers gets the same logits."""
    source, path = as_trained(BUILDERS[kind]()), tmp_path / "graph.pb"
    graph = write_graph(source, source.normalize(IMAGES), path)
    model = BUILDERS[kind]()
    import_tensorflow(model, path)
    last = graph.node[-1].name
    logits = run_graph(read_frozen_graph(path), {"input": model.normalize(IMAGES)}, [last])[last]
    (ours,) = outputs_of(model, IMAGES)
    torch.testing.assert_close(ours.double(), logits.reshape(ours.shape), rtol=1e-4, atol=1e-4)


def test_backgrounds(tmp_path: Path, write_graph: Any, as_trained: Any) -> None:
    """Sigmoid detectors and classifiers lose the row in front, softmax detectors get it at the end."""
    path, wide = tmp_path / "graph.pb", ("background", *NAMES)
    source = as_trained(detector(mobilenet_v2, "last", names=wide))
    logits, deltas = outputs_of(source, IMAGES)
    write_graph(with_tensorflow_boxes(source), source.normalize(IMAGES), path)
    for score, background, expected in (
        ("sigmoid", "dropped", logits[..., 1:]),
        ("softmax", "moved last", logits.roll(-1, dims=-1)),
    ):
        model = detector(mobilenet_v2, "last", score)
        assert import_tensorflow(model, path).facts["background"] == background
        ours = outputs_of(model, IMAGES)
        torch.testing.assert_close(ours[0], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours[1], deltas, rtol=1e-4, atol=1e-4)
    chosen = detector(mobilenet_v2, "last", names=("x", "y"))
    import_tensorflow(chosen, path, class_ids=(7, 2))
    torch.testing.assert_close(outputs_of(chosen, IMAGES)[0], logits[..., [7, 2]], rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match=r"predicts 9 classes .* the model 2"):
        import_tensorflow(detector(mobilenet_v2, "last", names=("x", "y")), path)
    with pytest.raises(InputError, match="1 class ids are given for the model's 2 classes"):
        import_tensorflow(chosen, path, class_ids=(7,))

    source = as_trained(classifier(mobilenet_v2, "last", None, wide))
    (logits,) = outputs_of(source, IMAGES)
    write_graph(source, source.normalize(IMAGES), path)
    for names, background, expected in ((NAMES, "dropped", logits[:, 1:]), (wide, "kept", logits)):
        narrow = classifier(mobilenet_v2, "last", None, names)
        assert import_tensorflow(narrow, path).facts["background"] == background
        torch.testing.assert_close(outputs_of(narrow, IMAGES)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_checkpoint_comes_back_by_its_names(
    kind: str,
    tmp_path: Path,
    write_graph: Any,
    as_trained: Any,
    scope_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    source, path = as_trained(BUILDERS[kind]()), tmp_path / "model.ckpt.index"
    for name, module in source.named_modules():  # a checkpoint does not say it: these are TensorFlow's own
        if isinstance(module, nn.BatchNorm2d):
            in_deeplab = isinstance(source, Segmenter) and name.startswith("head")
            module.eps = 1e-5 if in_deeplab else 1e-3
    expected = outputs_of(source, IMAGES)
    write_graph(
        with_tensorflow_boxes(source), source.normalize(IMAGES), tmp_path / "graph.pb", scope_of(source)
    )
    graph = read_frozen_graph(tmp_path / "graph.pb")
    variables = {
        name: value for name in graph if "/" in name and (value := constant(graph, name)) is not None
    }
    variables = {name: value for name, value in variables.items() if not name.endswith("/read")}
    if (mix := variables.get("concat_projection/weights")) is not None:
        variables["concat_projection/weights"] = np.concatenate((mix[:, :, -16:], mix[:, :, :-16]), axis=2)
    monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: variables)
    model = BUILDERS[kind]()
    imported = import_tensorflow(model, path)
    assert not imported.report.unused and imported.facts["padding"] is None
    for ours, theirs in zip(outputs_of(model, IMAGES), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_another_epsilon_gives_the_same_output(tmp_path: Path, write_graph: Any, as_trained: Any) -> None:
    source, path = as_trained(classifier(mobilenet_v2, "last", None)), tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    backbone = mobilenet_v2(out_features=("last",), **{**SMALL, "norm_eps": 1e-5})
    model = Classifier(backbone, ClassifierHead, NAMES, Resize(SIZE))
    import_tensorflow(model, path)
    torch.testing.assert_close(outputs_of(model, IMAGES), outputs_of(source, IMAGES), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"padding": "torch"},
            "pads as in 'torch', the file as in 'same': build the model with padding='same'",
        ),
        ({"width_mult": 0.5}, r"backbone.stem.conv of the model has a kernel \(16, 3, 3, 3\), the file has"),
    ],
)
def test_another_architecture_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source, path = as_trained(classifier(mobilenet_v2, "last", None)), tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    backbone = mobilenet_v2(out_features=("last",), **{**SMALL, **change})
    with pytest.raises(InputError, match=message):
        import_tensorflow(Classifier(backbone, ClassifierHead, NAMES, Resize(SIZE)), path)
    with pytest.raises(InputError, match="does not fit the model"):
        import_tensorflow(classifier(mobilenet_v3_small, "last", 32), path)


def test_layers_of_a_model_are_seen_with_their_place() -> None:
    layers = {layer.name: layer for layer in model_layers(segmenter(*BUILDERS["raspp v2"].args), SIZE)}
    names = list(layers)
    mix = layers["head.project.conv"]
    assert [sorted(names[i] for i in part) for part in mix.links.parts] == [
        ["head.point.conv"],
        ["head.pooled.conv"],
    ]
    assert layers["head.pooled.conv"].links.is_pooled and not layers["head.point.conv"].links.is_pooled
    stem = layers["backbone.stem.conv"]
    assert stem.norm == "backbone.stem.norm" and stem.links.padding == "same" and not stem.links.inputs
    second = layers["backbone.blocks.2.expand.conv"]
    assert [names[i] for i in second.links.inputs] == ["backbone.blocks.1.project.conv"]
    third = layers["backbone.blocks.3.expand.conv"]  # after a residual
    assert len(third.links.inputs) == 2
