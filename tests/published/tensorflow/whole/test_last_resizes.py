"""Covers published/label_parity.py, published/tensorflow/last_resizes.py, models/enlarge.py.

A segmenter's label map is that of its file, however that enlarges its logits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef

import pocketvision
from pocketvision.configs import imported_segmentation
from pocketvision.core.layers import Sampling
from pocketvision.core.weights import read_passport
from pocketvision.models import Enlarge
from pocketvision.published.recognize import recognize
from pocketvision.tools.import_weights import main

SAMPLINGS = get_args(Sampling)
NAMES = ("a", "b", "c", "d", "e")
DEEPLAB: dict[str, Any] = {"image_size": (97, 97), "head_channels": 32, "width_mult": 0.25}
LRASPP: dict[str, Any] = {**DEEPLAB, "head": "lraspp", "low": ("c3_depthwise", "c2_depthwise")}


@pytest.fixture
def source_of(as_trained: Any) -> Callable[[Sampling, str], Any]:
    """``source_of(sampling, head)``: a model whose classes differ from pixel to pixel."""

    def make(sampling: Sampling, head: str = "deeplabv3") -> Any:
        torch.manual_seed(0)
        options: dict[str, Any] = {**LRASPP, "sampling": sampling} if head == "lraspp" else DEEPLAB
        model = as_trained(imported_segmentation.model(NAMES, **options, last_resize=sampling))
        decide(model, torch.rand(1, 3, 97, 97) * 255)
        return model

    return make


@torch.no_grad()
def decide(model: Any, image: torch.Tensor) -> None:
    """Weights for the classes without what they see everywhere."""

    def redraw(layer: Any, inputs: tuple[torch.Tensor]) -> None:
        common = torch.nn.functional.normalize(inputs[0].mean((0, 2, 3)), dim=0)
        weight = torch.randn(layer.weight.shape[:2])
        weight -= (weight @ common)[:, None] * common
        values = torch.einsum("oc,nchw->nohw", weight, inputs[0])
        layer.weight.copy_((weight * 3 / values.std())[:, :, None, None])

    layers = [model.head.get_submodule(name) for name in model.head.class_layers()]
    hooks = [layer.register_forward_pre_hook(redraw) for layer in layers]
    model(image)
    for hook in hooks:
        hook.remove()


def their_labels(path: Path, image: torch.Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Label map and margin of the best class, of TensorFlow's own runtime."""
    runtime = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    runtime.allocate_tensors()
    (given,), (answer,) = runtime.get_input_details(), runtime.get_output_details()
    runtime.set_tensor(given["index"], image.permute(0, 2, 3, 1).numpy())
    runtime.invoke()
    logits = runtime.get_tensor(answer["index"])[0]
    best = np.sort(logits, axis=-1)
    return logits.argmax(axis=-1), best[..., -1] - best[..., -2]


@pytest.mark.parametrize("head", ["deeplabv3", "lraspp"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_label_maps_are_those_of_the_files_runtime(
    sampling: Sampling, head: str, tmp_path: Path, write_published: Any, source_of: Any
) -> None:
    path = tmp_path / "model.tflite"
    write_published(source_of(sampling, head), path)
    model: Any = pocketvision.load(import_it(path))
    assert (model.enlarge is None) == (sampling == "half_pixel"), "which everybody does with our logits"
    image = (torch.rand(1, 3, 97, 97, generator=torch.Generator().manual_seed(1)) * 255).round()
    labels, margin = their_labels(path, model.normalize(image))
    (ours,) = model.predict(image, [(97, 97)])
    assert len(np.unique(labels)) > 1
    assert (ours.numpy() == labels)[margin > 1e-4].all() and (margin > 1e-4).mean() > 0.99
    model.enlarge = Enlarge("align_corners" if sampling == "half_pixel" else "half_pixel")
    (other,) = model.predict(image, [(97, 97)])
    assert (other.numpy() != labels)[margin > 1e-4].mean() > 0.005, "it matters"


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_and_those_of_a_frozen_graph(
    sampling: Sampling,
    tmp_path: Path,
    write_published: Any,
    source_of: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "model.pb"
    write_published(source_of(sampling), path)
    with caplog.at_level("INFO"):
        import_it(path)
        assert "behind its last resize 100.00% of 9409 pixels are of the same class" in caplog.text
        caplog.clear()
        import_it(path, f"model.last_resize={'half_pixel' if sampling == 'asymmetric' else 'asymmetric'}")
    said = caplog.text.partition("behind its last resize ")[2]
    assert float(said.partition("%")[0]) < 99.9, "nothing is refused, but told"


def test_sizes_between_and_resizes_to_the_same_size(
    tmp_path: Path, write_published: Any, source_of: Any
) -> None:
    """DeepLab's graphs resize to the size that the logits have, which changes nothing."""
    path = tmp_path / "model.tflite"
    source = source_of("align_corners")
    source.enlarge = Enlarge("align_corners", ((7, 7), (30, 31)))
    write_published(source, path)
    weights = import_it(path)
    model: Any = pocketvision.load(weights)
    assert model.enlarge == Enlarge("align_corners", ((30, 31),))
    arguments = read_passport(weights)["builder"]["arguments"]
    assert arguments["last_resize"] == "align_corners" and arguments["sizes_between"] == [[30, 31]]
    images = torch.rand(1, 3, 97, 97) * 255
    with torch.no_grad():
        torch.testing.assert_close(model(images), source.eval()(images), atol=1e-3, rtol=1e-3)


def test_two_ways_at_once_are_refused(
    tmp_path: Path, write_published: Any, source_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "model.pb", tmp_path / "w.safetensors"
    source = source_of("align_corners")
    source.enlarge = Enlarge("align_corners", ((30, 31),))
    write_published(source, path)
    whole = GraphDef.FromString(path.read_bytes())
    nodes = {node.name: node for node in whole.node}
    nodes["large_1"].attr["align_corners"].f = 0
    path.write_bytes(whole.SerializeToString())
    assert main([str(path), f"class_names={NAMES}", "--output", str(output)]) == 1
    assert "large_1 resizes its logits in another way than large_0 before it" in capsys.readouterr().err
    nodes["large_1"].input[0] = nodes["large_0"].input[0]
    path.write_bytes(whole.SerializeToString())
    assert main([str(path), f"class_names={NAMES}", "--output", str(output)]) == 1
    assert "its logits are resized in two ways, by large_" in capsys.readouterr().err
    nodes["large_1"].attr["align_corners"].f = 1
    nodes["size_1"].attr["value"].tensor.CopyFrom(nodes["size_0"].attr["value"].tensor)
    path.write_bytes(whole.SerializeToString())
    assert recognize(path).arguments["sizes_between"] == ((30, 31),), "twice the same is one"


def import_it(path: Path, *words: str) -> Path:
    output = path.with_suffix(".safetensors")
    output.unlink(missing_ok=True)
    assert main([str(path), f"class_names={NAMES}", *words, "--output", str(output)]) == 0
    return output
