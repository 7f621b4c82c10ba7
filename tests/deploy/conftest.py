"""Tiny models of every task, and their exports, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.resize import Resize
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, Segmenter, SSDPostprocess, VisionModel

NAMES = ("cat", None, "dog", "owl")
SIZE = (64, 80)


def backbone(*features: str) -> nn.Module:
    """Cut early: exporting takes time for every layer."""
    return mobilenet_v3_small(width_mult=0.35, out_features=features, padding="same")


def make_detector() -> Detector:
    detector = Detector(
        backbone("c1", "c2"),
        SSDLiteHead,
        NAMES,
        Resize(SIZE),
        TensorFlowAnchors(),
        SSDPostprocess(max_detections=50, candidates_per_class=100),
    )
    for block in detector.head.class_blocks:
        block[1].weight.data *= 60  # so that scores differ
    return detector


def make_segmenter() -> Segmenter:
    head = partial(LRASPPHead, channels=8, low=("c1",), high="c2")
    segmenter = Segmenter(backbone("c1", "c2"), head, NAMES, Resize(SIZE, mode="letterbox"))
    segmenter.head.high_logits.weight.data *= 30
    return segmenter


def make_classifier() -> Classifier:
    resize = Resize(SIZE, mode="crop")
    classifier = Classifier(backbone("c2"), partial(ClassifierHead, feature="c2"), NAMES, resize)
    classifier.head.class_logits.weight.data *= 30
    return classifier


MAKERS: dict[str, Callable[[], VisionModel]] = {
    "detection": make_detector,
    "segmentation": make_segmenter,
    "classification": make_classifier,
}
Exported = Callable[..., Path]


@pytest.fixture(scope="session")
def models(as_trained: Callable[[nn.Module], nn.Module]) -> dict[str, VisionModel]:
    torch.manual_seed(0)
    made: dict[str, VisionModel] = {
        task: as_trained(make())  # type: ignore[misc]
        for task, make in MAKERS.items()
    }
    head = made["segmentation"].head
    with torch.no_grad():  # every class is somewhere the best
        head.high_logits.bias -= made["segmentation"](_images()).mean((0, 2, 3))
    return made


@pytest.fixture(scope="session")
def images() -> Tensor:
    return _images()


def _images() -> Tensor:
    """Noise of several scales."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 4, 5, generator=generator)
    fine = torch.rand(4, 3, *SIZE, generator=generator)
    return ((F.interpolate(coarse, SIZE) + fine) * 127).to(torch.uint8)


@pytest.fixture(scope="session")
def exported(models: dict[str, VisionModel], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """``exported(task, format, **options)`` is the file of a model, exported at its first use."""
    folder = tmp_path_factory.mktemp("exported")

    def export(task: str, format: str, **options: object) -> Path:
        words = "_".join([task, *(f"{key}_{value}" for key, value in options.items())])
        path = folder / f"{words}{FORMATS[format].suffix}"
        if not path.exists():
            settings = ExportOptions(source="test", licence="Apache-2.0", **options)  # type: ignore[arg-type]
            assert export_model(models[task], format, path, settings) == path
        return path

    return export
