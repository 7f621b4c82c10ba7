"""A segmenter that enlarges its own logits, in PyTorch and in exported graphs."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from pocketvision.configs import imported_segmentation
from pocketvision.core.layers import Sampling, resize_maps
from pocketvision.core.structures import MaskTarget, Size
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.results import segment
from pocketvision.losses import SegmentationCrossEntropy
from pocketvision.models import Enlarge, Segmenter
from pocketvision.tasks.segmentation import SegmentationTask

SAMPLINGS = get_args(Sampling)
NAMES = ("a", "b", "c", "d")


def by_onnx(maps: Tensor, size: Size, sampling: Sampling) -> Tensor:
    """ONNX's own definition of the three."""
    kinds = {"mode": "linear", "coordinate_transformation_mode": sampling}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **kinds)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    sizes = helper.make_tensor_value_info("sizes", TensorProto.INT64, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph([node], "g", [x, sizes], [y]))
    feeds = {"x": maps.numpy(), "sizes": np.int64([*maps.shape[:2], *size])}
    return torch.from_numpy(np.array(ReferenceEvaluator(model).run(None, feeds)[0]))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("small", "large"), [((3, 4), (7, 9)), ((5, 2), (3, 8)), ((1, 1), (4, 5))])
def test_maps_are_resized_as_onnx_says(sampling: Sampling, small: Size, large: Size) -> None:
    maps = torch.randn(1, 2, *small, generator=torch.Generator().manual_seed(0))
    found = resize_maps(maps, large, sampling)
    assert found.shape == (1, 2, *large)
    torch.testing.assert_close(found, by_onnx(maps, large, sampling).float(), atol=1e-5, rtol=1e-5)


def test_it_goes_through_the_sizes_between() -> None:
    logits = torch.randn(1, 3, 5, 4)
    through = resize_maps(logits, (9, 7), "asymmetric")
    assert torch.equal(
        Enlarge("asymmetric", ((9, 7),))(logits, (20, 20)), resize_maps(through, (20, 20), "asymmetric")
    )
    with pytest.raises(ValueError, match="sampling is 'corners': choose from half_pixel, align_corners"):
        Enlarge("corners")  # type: ignore[arg-type]


@torch.no_grad()
def segmenter(sampling: Sampling | None) -> Segmenter:
    torch.manual_seed(0)
    model = imported_segmentation.model(
        NAMES, image_size=(65, 49), width_mult=0.25, head_channels=16, last_resize=sampling
    )
    logits = model.eval().head(model.features(pictures()))
    model.head.logits.weight.data /= logits.std()  # type: ignore[union-attr, operator]
    return model


def pictures(number: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (number, 3, 65, 49), dtype=torch.uint8, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_model_enlarges_and_is_trained_so(sampling: Sampling) -> None:
    plain, model = segmenter(None), segmenter(sampling)
    expected = resize_maps(plain(pictures(2)), (65, 49), sampling)
    assert plain(pictures()).shape == (1, 4, 5, 4)
    torch.testing.assert_close(model(pictures(2)), expected)
    (labels, _) = model.predict(pictures(2), [(65, 49), (30, 60)])
    assert torch.equal(labels, expected[0].argmax(dim=0).to(torch.uint8)), "by nothing else behind it"
    task = SegmentationTask(model, SegmentationCrossEntropy(), torch.optim.SGD, 16)
    targets = [MaskTarget(torch.zeros(65, 49, dtype=torch.uint8), 0, (65, 49))] * 2
    (loss,) = task.losses_of(task.outputs(pictures(2)), targets).values()
    (other,) = SegmentationCrossEntropy()(expected, targets).values()
    torch.testing.assert_close(loss, other)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("format", ["onnx", "openvino", "pt2"])
def test_exports_enlarge_too(sampling: Sampling, format: str, tmp_path: Path) -> None:
    suffix = {"onnx": "onnx", "openvino": "xml", "pt2": "pt2"}[format]
    model, output = segmenter(sampling), tmp_path / f"model.{suffix}"
    runtime = open_runtime(export_model(model, format, output), threads=1)
    with torch.no_grad():
        logits = runtime(pictures().numpy())["logits"]
        torch.testing.assert_close(logits, model(pictures()), atol=1e-3, rtol=1e-3)
    (found,), (expected,) = (
        segment(runtime, pictures().numpy(), [(65, 49)]),
        model.predict(pictures(), [(65, 49)]),
    )
    assert (found == expected).float().mean() > 0.999


@pytest.mark.slow
def test_a_graph_with_labels_for_any_size(tmp_path: Path) -> None:
    model, path = segmenter("asymmetric"), tmp_path / "labels.onnx"
    options = ExportOptions(label_map=True, dynamic_size=True)
    runtime = open_runtime(export_model(model, "onnx", path, options), threads=1)
    for size in ((65, 49), (81, 97)):
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
        with torch.no_grad():
            expected = model(images).argmax(dim=1)
        assert (runtime(images.numpy())["label_map"] == expected).float().mean() > 0.999
