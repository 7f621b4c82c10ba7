"""Covers published/tensorflow/tflite.py: whole models as TFLite files in all precisions, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, DeepLabV3Head
from pocketvision.models import Classifier, Segmenter
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant
from pocketvision.published.tensorflow.import_file import import_tensorflow

pytest.importorskip("ai_edge_litert.schema_py_generated")

SIZE = (66, 66)
_COARSE = torch.rand(16, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
IMAGES = torch.nn.functional.interpolate(_COARSE, SIZE, mode="bicubic").clamp(0, 255)


def classifier(
    backbone: Callable[..., Any], width: float, feature: str, hidden: int | None = None
) -> Classifier:
    return Classifier(
        backbone(width_mult=width, out_features=(feature,), padding="same", norm_eps=1e-3),
        partial(ClassifierHead, feature=feature, hidden_channels=hidden),
        tuple("abcdefgh"),
        Resize(SIZE),
    )


def segmenter() -> Segmenter:
    backbone = mobilenet_v2(
        width_mult=0.25, out_features=("c5",), output_stride=16, padding="same", norm_eps=1e-3
    )
    head = partial(DeepLabV3Head, form="aspp", channels=16)
    return Segmenter(backbone, head, tuple("abcdefgh"), Resize(SIZE))


def as_calibrated(model: Any) -> Any:
    """``model`` with BatchNorms as after training: each layer's output varies with the image."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.normal_(module.bias, 0, 0.3)
    model.train()(IMAGES)
    return model.eval()


BUILDERS: dict[str, Callable[[], Any]] = {
    "v1 0.25": partial(classifier, mobilenet_v1, 0.25, "c5"),
    "v2 0.35": partial(classifier, mobilenet_v2, 0.35, "last"),
    "v3 small": partial(classifier, mobilenet_v3_small, 0.75, "last", 32),
    "deeplab v2": segmenter,
}


CASES = [
    ("v1 0.25", "float16"), ("v1 0.25", "uint8"), ("v2 0.35", "float32"),
    ("v2 0.35", "int8"), ("v3 small", "float32"), ("deeplab v2", "float32"),
]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_model_comes_back(
    name: str, kind: str, tmp_path: Path, write_graph: Any, run_graph: Any, convert_graph: Any
) -> None:
    torch.manual_seed(0)
    source, path = as_calibrated(BUILDERS[name]()), tmp_path / "model.tflite"
    write_graph(source, source.normalize(IMAGES), tmp_path / "graph.pb")
    graph = read_frozen_graph(tmp_path / "graph.pb")
    nodes = [n.name for n in graph.values() if constant(graph, n.name) is None and n.op != "Placeholder"]
    feeds = {"input": source.normalize(IMAGES)}
    path.write_bytes(convert_graph(graph, {**run_graph(graph, feeds, nodes), **feeds}, kind))
    model = BUILDERS[name]().eval()
    imported = import_tensorflow(model, path)
    assert imported.facts["is_norm_folded"] and imported.facts["padding"] == "same"
    assert not imported.report.unused
    if kind in ("float32", "float16"):
        for ours, theirs in zip(varying(model), varying(source), strict=True):
            tolerance = {"float32": 1e-3, "float16": 0.5}[kind] * theirs.std().item()
            torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
            assert torch.corrcoef(torch.stack((ours.flatten(), theirs.flatten())))[0, 1] > 0.99
    else:  # rounding of a net that was not trained with it adds up: weight by weight it must be small
        assert_rounded(model, folded(source))


def varying(model: Any) -> list[Tensor]:
    """Features and logits without what all images have in common."""
    (features,) = model.backbone(model.normalize(IMAGES)).values()
    return [x - x.mean(dim=0) for x in (features, model(IMAGES))]


def folded(model: Any) -> dict[str, Tensor]:
    """The state of a model with its BatchNorms inside the convolutions, as the importer leaves it."""
    state = dict(model.state_dict())
    for name, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            kernel = f"{name.removesuffix('norm')}conv.weight"
            state[kernel] = state[kernel] * scale[:, None, None, None]
            state[f"{name}.bias"] = norm.bias - norm.running_mean * scale
    return state


def assert_rounded(model: Any, exact: Mapping[str, Tensor]) -> None:
    """Kernels are off by half a step at most, of 255 over their range, and biases by much less."""
    num_off = 0
    for name, value in model.state_dict().items():
        if value.ndim > 1 or name.endswith("bias"):
            step = (exact[name].max().clamp(min=0) - exact[name].min().clamp(max=0)).item() / 255
            step = max(step, exact[name].abs().max().item() / 127) if value.ndim > 1 else 4 * step
            error = (value - exact[name]).abs().max().item()
            assert error <= 0.501 * step, (name, error, step)
            num_off += error > 0
    assert num_off > 20, "something was rounded"
