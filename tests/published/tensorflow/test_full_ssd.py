"""Covers published/tensorflow/import_file.py.

SSD with full convolutions, as in TensorFlow's ssd_mobilenet_v1_coco and v2_coco: graph and checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import WithExtraBlocks, mobilenet_v1, mobilenet_v2
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import SSDHead
from pocketvision.models import Detector
from pocketvision.published.tensorflow.class_rows import box_rows
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.import_file import import_tensorflow
from pocketvision.published.tensorflow.names import model_role

SIZE = (66, 66)
NAMES = tuple(f"class {i}" for i in range(90))
IMAGES = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0)).float()


class PointwiseSSDHead(SSDHead):
    """TensorFlow's ``ConvolutionalBoxPredictor`` with ``kernel_size: 1``."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        for blocks in (self.class_blocks, self.box_blocks):
            for i, block in enumerate(blocks):
                assert isinstance(block, nn.Conv2d)
                blocks[i] = nn.Conv2d(block.in_channels, block.out_channels, 1)


def detector(
    version: int, head: Any, names: tuple[str, ...] = NAMES, score: Any = "sigmoid", separable: bool = False
) -> Detector:
    small: Any = {"width_mult": 0.25, "padding": "same", "norm_eps": 1e-3}
    if version == 1:
        backbone = mobilenet_v1(out_features=("c4", "c5"), **small)
    else:
        backbone = mobilenet_v2(out_features=("c4_expand", "last"), **small)
    extra = WithExtraBlocks(backbone, channels=(32, 16), padding="same", separable=separable)
    return Detector(
        extra, head, names, Resize(SIZE), TensorFlowAnchors(), score_function=score,
        mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip


def scope_of(version: int, model: Detector) -> Callable[[str], str]:
    """The names in TensorFlow's own checkpoints, written by hand from its sources."""
    last = "Conv2d_13_pointwise" if version == 1 else "layer_19"
    net = f"FeatureExtractor/MobilenetV{version}"
    channels = {name: m.out_channels for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}

    def scope(module: str) -> str:
        role = model_role(module)
        if match := re.fullmatch(r"backbone\.extra_blocks\.(\d+)\.(\d)", module):
            number, out = int(match[1]) + 2, channels[f"{module}.conv"]
            kind = f"1_Conv2d_{number}_1x1_{out}" if match[2] == "0" else f"2_Conv2d_{number}_3x3_s2_{out}"
            return f"{net}/{last}_{kind}"
        if match := re.fullmatch(r"(class|box) (\d+)", role):
            return f"BoxPredictor_{match[2]}/{'Class' if match[1] == 'class' else 'BoxEncoding'}Predictor"
        if match := re.fullmatch(r"block (\d+) (\w+)", role):
            if version == 1:
                kind = {"depthwise": "depthwise", "project": "pointwise"}[match[2]]
                return f"{net}/Conv2d_{int(match[1]) + 1}_{kind}"
            return f"{net}/expanded_conv{'_' + match[1] if match[1] != '0' else ''}/{match[2]}"
        return f"{net}/" + {"stem": "Conv2d_0" if version == 1 else "Conv", "last": "Conv_1"}[role]

    return scope


def outputs_of(model: Detector) -> list[Tensor]:
    with torch.no_grad():
        output = model.eval()(IMAGES)
    return [output.class_logits, output.box_deltas]


def published(version: int, head: Any, as_trained: Any) -> tuple[Detector, list[Tensor]]:
    """A detector of 90 classes behind a background with TensorFlow's box codes, and its outputs without."""
    torch.manual_seed(0)
    source = as_trained(detector(version, head, ("background", *NAMES)))
    expected = outputs_of(source)
    for layer in source.head.box_blocks:
        rows = box_rows(layer.out_channels)
        layer.weight.data, layer.bias.data = layer.weight.data[rows], layer.bias.data[rows]
    return source, expected


@pytest.mark.parametrize(
    ("version", "head", "is_named"),
    [(1, PointwiseSSDHead, False), (2, PointwiseSSDHead, True), (2, SSDHead, False)],
)
def test_a_graph(
    version: int, head: Any, is_named: bool, tmp_path: Path, write_graph: Any, as_trained: Any
) -> None:
    source, (logits, deltas) = published(version, head, as_trained)
    scope, path = scope_of(version, source) if is_named else None, tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path, scope)
    for score, expected in (("sigmoid", logits[..., 1:]), ("softmax", logits.roll(-1, dims=-1))):
        model = detector(version, head, score=score)
        imported = import_tensorflow(model, path)
        assert imported.facts["class_ids"] == list(range(1, 91)) and not imported.report.unused
        ours = outputs_of(model)
        torch.testing.assert_close(ours[0], expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours[1], deltas, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_a_checkpoint(
    version: int, tmp_path: Path, write_graph: Any, as_trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, (logits, deltas) = published(version, PointwiseSSDHead, as_trained)
    write_graph(source, source.normalize(IMAGES), tmp_path / "graph.pb", scope_of(version, source))
    graph = read_frozen_graph(tmp_path / "graph.pb")
    values = {name: constant(graph, name) for name in graph if "/" in name and not name.endswith("/read")}
    variables = {name: np.asarray(value) for name, value in values.items() if value is not None}
    monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: variables)
    model = detector(version, PointwiseSSDHead)
    assert not import_tensorflow(model, tmp_path / "model.ckpt.index").report.unused
    ours = outputs_of(model)
    torch.testing.assert_close(ours[0], logits[..., 1:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours[1], deltas, rtol=1e-4, atol=1e-4)


def test_another_head_is_refused(tmp_path: Path, write_graph: Any, as_trained: Any) -> None:
    source, _ = published(2, PointwiseSSDHead, as_trained)
    path = tmp_path / "graph.pb"
    write_graph(source, source.normalize(IMAGES), path)
    with pytest.raises(InputError, match=r"graph.pb does not fit the model: .* has a kernel"):
        import_tensorflow(detector(2, SSDHead), path)
    with pytest.raises(InputError, match="does not fit the model"):
        import_tensorflow(detector(2, PointwiseSSDHead, separable=True), path)
