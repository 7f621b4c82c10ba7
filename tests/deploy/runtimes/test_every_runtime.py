"""Covers deploy/runtimes/answers.py, deploy/runtimes/graphs.py, deploy/runtimes/onnx_session.py,
deploy/runtimes/opening.py, deploy/runtimes/openvino_model.py, deploy/runtimes/protocol.py,
deploy/runtimes/pt2_program.py, deploy/runtimes/results.py, deploy/runtimes/torch_module.py.

Every runtime says what the model says, for one image and for four.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketvision.core.command import shipped_configs
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.graphs import JointGraph
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.results import classify, detect, restore_detections, segment
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import Classifier, Detector, JointModel, Segmenter, VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment

CASES = [
    ("detection", "onnx", {}),
    ("detection", "onnx", {"nms": True}),
    ("detection", "openvino", {"nms": True}),
    ("segmentation", "onnx", {}),
    ("segmentation", "openvino", {"label_map": True}),
    ("classification", "onnx", {"dynamic_size": True, "input_type": "float"}),
    ("classification", "openvino", {"batch": 3}),
    ("classification", "pt2", {}),
]
SIZES = [(90, 70), (30, 200), (64, 80), (333, 251)]


Exported = Callable[..., Path]


def raw(model: VisionModel, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        if isinstance(model, JointModel):
            return list(JointGraph(model)(images))
        output = model(images)
    return [output.class_logits, output.box_deltas] if isinstance(model, Detector) else [output]


def assert_same_results(runtime: Runtime, model: VisionModel, images: Tensor) -> None:
    """Final results as from the model's own ``predict``."""
    if isinstance(model, Detector):
        ours, expected = detect(runtime, images), model.predict(images)
        assert ours.num_detections.tolist() == expected.num_detections.tolist()
        assert int(expected.num_detections.min()) > 5 and expected.scores.max() > 0.3
        torch.testing.assert_close(ours.scores, expected.scores, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours.boxes, expected.boxes, atol=1e-2, rtol=1e-3)
        assert torch.equal(ours.labels, expected.labels)
        sizes = SIZES[: len(images)]
        restored = zip(
            restore_detections(runtime.artifact, ours, sizes), model.restore(expected, sizes), strict=True
        )
        for found, original in restored:
            torch.testing.assert_close(found.boxes, original.boxes, atol=5e-2, rtol=1e-3)
    elif isinstance(model, Segmenter):
        sizes = SIZES[: len(images)]
        pairs = zip(segment(runtime, images, sizes), model.predict(images, sizes), strict=True)
        for found, label_map in pairs:
            assert found.shape == label_map.shape and found.dtype == torch.uint8
            assert len(found.unique()) > 1 and 1 not in found, "a class without a name"
            is_enlarged_map = "label_map" in runtime.artifact.outputs
            assert (found == label_map).float().mean() > (0.85 if is_enlarged_map else 0.9999)
    else:
        found, scores = classify(runtime, images), model.predict(images)
        torch.testing.assert_close(found, scores, atol=1e-4, rtol=1e-3)
        assert (found[:, 1] == 0).all()


@pytest.mark.parametrize("task", ["detection", "segmentation", "classification"])
def test_torch_runtime(task: str, models: dict[str, VisionModel], images: Tensor) -> None:
    model = models[task]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    runtime = TorchRuntime(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in runtime.graph.modules())
    for count in (1, 4):
        outputs = list(runtime(images[:count].numpy()).values())
        torch.testing.assert_close(outputs, raw(model, images[:count]), atol=1e-4, rtol=1e-4)
        assert_same_results(runtime, model, images[:count])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


@pytest.mark.parametrize(("task", "format", "options"), CASES)
def test_exported_models(
    task: str,
    format: str,
    options: dict[str, object],
    models: dict[str, VisionModel],
    images: Tensor,
    exported: Callable[..., Path],
) -> None:
    model, runtime = models[task], open_runtime(exported(task, format, **options), threads=1)
    for count in (1, 4):
        some = images[:count]
        outputs = runtime(some)
        if not ({"nms", "label_map"} & options.keys()):
            torch.testing.assert_close(list(outputs.values()), raw(model, some), atol=1e-4, rtol=1e-3)
        elif "label_map" in options:
            expected = TorchRuntime(model, label_map=True)(some)["label_map"]
            assert outputs["label_map"].dtype == torch.uint8 and outputs["label_map"].shape == expected.shape
            assert (outputs["label_map"] == expected).float().mean() > 0.9999
        assert_same_results(runtime, model, some)


def test_a_dynamic_size_takes_other_sizes(
    models: dict[str, VisionModel], exported: Callable[..., Path]
) -> None:
    model = models["classification"]
    runtime = open_runtime(exported("classification", "onnx", dynamic_size=True, input_type="float"))
    for size in ((64, 80), (97, 50)):
        images = torch.rand(2, 3, *size) * 255
        torch.testing.assert_close(
            runtime(images)["class_logits"], raw(model, images)[0], atol=1e-4, rtol=1e-3
        )


@pytest.mark.parametrize("name", shipped_configs())
def test_every_config_in_the_torch_runtime(name: str, as_trained: Callable[[nn.Module], nn.Module]) -> None:
    experiment, _ = load_experiment(shipped_configs()[name], ["model.image_size=(96,96)"])
    names = tuple(experiment.class_names or ("cat", "dog"))
    model: VisionModel = as_trained(build_model(experiment, names))  # type: ignore[assignment]
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    expected = raw(model, images)
    for output, reference in zip(TorchRuntime(model)(images).values(), expected, strict=True):
        assert (output - reference).abs().max() <= 1e-4 * (1 + reference.abs().max())


class Recorder(Runtime):
    """Gives the mean of each image, and remembers what it was given."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(replace(artifact, outputs=("mean",)))
        self.seen: list[Tensor] = []

    def run(self, images: Tensor) -> Sequence[Tensor]:
        self.seen.append(images)
        return [images.double().mean(dim=(1, 2, 3))]


def test_a_fixed_batch_is_filled_up(models: dict[str, VisionModel], images: Tensor) -> None:
    runtime = Recorder(replace(describe(models["classification"]), batch=3))
    means = runtime(images)["mean"]
    assert torch.equal(means, images.double().mean(dim=(1, 2, 3)))
    assert [len(batch) for batch in runtime.seen] == [3, 3]


def test_images_get_the_type_that_the_graph_takes(models: dict[str, VisionModel], images: Tensor) -> None:
    runtime = Recorder(replace(describe(models["classification"]), input_type="float"))
    runtime(images.numpy())
    assert runtime.seen[0].dtype == torch.float32 and torch.equal(runtime.seen[0], images.float())


@pytest.mark.parametrize("shape", [(3, 64, 80), (1, 1, 64, 80), (0, 3, 64, 80), (1, 3, 80, 64)])
def test_images_of_another_shape(shape: tuple[int, ...], models: dict[str, VisionModel]) -> None:
    runtime = TorchRuntime(models["detection"])
    with pytest.raises(ValueError, match=r"images are .*64, 80"):
        runtime(np.zeros(shape, dtype=np.uint8))


def test_results_of_another_task(models: dict[str, VisionModel], images: Tensor) -> None:
    classifier, detector = TorchRuntime(models["classification"]), TorchRuntime(models["detection"])
    with pytest.raises(ValueError, match="only a detector"):
        detect(classifier, images)
    with pytest.raises(ValueError, match="only a segmenter"):
        segment(detector, images, SIZES)
    with pytest.raises(ValueError, match="only a classifier"):
        classify(detector, images)
    assert isinstance(models["classification"], Classifier)


def test_openvino_leaves_the_signal_stack_whole(exported: Exported) -> None:
    """Each of its plugins swaps it and gives it back when it goes, in whatever order they go."""
    code = (
        "import faulthandler, signal, subprocess, sys\n"
        "from pocketvision.deploy.runtimes.opening import open_runtime\n"
        "faulthandler.enable()\n"
        "signal.signal(signal.SIGCHLD, lambda *_: None)\n"
        "first, second = (open_runtime(sys.argv[1]) for _ in range(2))\n"
        "del first, second\n"
        "subprocess.run([sys.executable, '-c', ''], check=True)"
    )
    path = exported("segmentation", "openvino", label_map=True)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
