"""Covers deploy/certificate/coreml_package.py, deploy/converters/coreml_script.py.

Core ML packages: made by Apple's converter where it is there, read back, checked, computed.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor

from pocketvision.backbones import mobilenet_v2
from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat, Resize
from pocketvision.deploy.certificate.coreml_package import read_package
from pocketvision.deploy.certificate.document import write_certificate_page
from pocketvision.deploy.certificate.images import ImageSet
from pocketvision.deploy.certificate.measured import certify, to_dict
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier, VisionModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def converters() -> Converters:
    """Those of this machine: nothing of 7 GB is installed for a test."""
    given = os.environ.get("POCKETVISION_CONVERTER_PYTHON")
    found = Converters(Path(given) if given else None)
    try:
        converter_python(found)
    except InputError:
        pytest.skip("no converters here: 'pocketvision export --format coreml --yes' makes them")
    return found


@pytest.fixture
def some_images(images: Tensor, tmp_path: Path) -> ImageSet:
    paths = []
    for index, image in enumerate(images):
        paths.append(str(tmp_path / f"{index}.png"))
        cv2.imwrite(paths[-1], image.permute(1, 2, 0).numpy())
    return ImageSet(tuple(paths), len(paths), str(tmp_path))


@pytest.mark.parametrize(
    ("task", "options"),
    [("detection", ExportOptions()), ("segmentation", ExportOptions(label_map=True, input_type="float"))],
)
def test_a_package_is_the_model(
    task: str,
    options: ExportOptions,
    models: dict[str, VisionModel],
    some_images: ImageSet,
    converters: Converters,
    tmp_path: Path,
) -> None:
    path = export_model(models[task], "coreml", tmp_path / "m.mlpackage", options, converters)
    assert {file.name for file in written_files(path)} == {"Manifest.json", "model.mlmodel", "weight.bin"}
    certificate = certify(models[task], path, some_images, converters)
    assert certificate.kind == "float16" and certificate.costs.artifact is None
    assert "is converted and structurally checked, not run" in certificate.verdict, certificate.verdict
    values = to_dict(certificate)
    json.dumps(values)
    assert values["latency"]["artifact"] is None and values["bytes"]["artifact"] > 1000
    texts = [check["text"] for check in values["checks"]]
    assert any("weights lie in it within float16" in text for text in texts)
    kind = "FLOAT32" if options.input_type == "float" else "RGB"
    assert f"the input is images {kind} 1x3x64x80" in texts
    write_certificate_page(certificate, tmp_path / "c.html")
    assert "not run" in (tmp_path / "c.html").read_text()
    for opened in (open_runtime, Predictor.load):
        with pytest.raises(InputError, match=r"m.mlpackage runs on Apple's systems only"):
            opened(path)


def test_other_channels_are_an_array(converters: Converters, tmp_path: Path) -> None:
    body = mobilenet_v2(width_mult=0.35, out_features=("c3",), in_channels=5)
    head = partial(ClassifierHead, feature="c3")
    resize = Resize((32, 64), pixels=PixelFormat(5, None))
    model = Classifier(body, head, ("a", "b"), resize, mean=(0.5,) * 5, std=(0.5,) * 5).eval()
    path = export_model(model, "coreml", tmp_path / "m.mlpackage", None, converters)
    (taken,) = read_package(path, converters).inputs
    assert (taken["kind"], taken["shape"]) == ("FLOAT32", [1, 5, 32, 64])


def test_a_package_of_another_model(
    models: dict[str, VisionModel], some_images: ImageSet, converters: Converters, tmp_path: Path
) -> None:
    model = models["classification"]
    path = export_model(model, "coreml", tmp_path / "m.mlpackage", None, converters)
    weight = model.head.class_logits.weight.data
    weight *= 1.01
    try:
        with pytest.raises(InputError, match=r"m.mlpackage is not what was made of this model \(\d+ of"):
            certify(model, path, some_images, converters)
    finally:
        weight /= 1.01
    for file in written_files(path):
        if file.name == "weight.bin":
            file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="The converter failed"):
        read_package(path, converters)


class Exotic(torch.nn.Module):
    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return torch.special.i0(features["c2"]).mean((2, 3))[:, :4]


def test_an_operator_that_core_ml_lacks(
    models: dict[str, VisionModel], converters: Converters, tmp_path: Path
) -> None:
    model = models["classification"]
    head, model.head = model.head, Exotic()
    try:
        with pytest.raises(InputError, match=r"The converter failed .*special_i0"):
            export_model(model, "coreml", tmp_path / "m.mlpackage", None, converters)
    finally:
        model.head = head
    assert not list(tmp_path.iterdir()), "nothing half-made"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ExportOptions(nms=True), "coreml has no operator for NMS"),
        (ExportOptions(int8=True), "coreml can't be written in int8"),
        (ExportOptions(batch=4), "coreml takes one image a call"),
        (ExportOptions(dynamic_size=True), "coreml takes images of one size"),
    ],
)
def test_what_it_can_t_be(
    options: ExportOptions, sentence: str, models: dict[str, VisionModel], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        export_model(models["detection"], "coreml", tmp_path / "m.mlpackage", options)


def test_no_package_at_all(tmp_path: Path) -> None:
    (tmp_path / "m.mlpackage").mkdir()
    with pytest.raises(InputError, match="is no Core ML package"):
        read_package(tmp_path / "m.mlpackage", Converters())
    with pytest.raises(InputError, match="runs on Apple's systems only"):
        open_runtime(tmp_path / "m.mlpackage")
