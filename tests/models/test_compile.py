"""Covers models/classifier.py, models/detector.py, models/segmenter.py.

One compiled model a task, by inductor, gives what the plain model gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead, LRASPPHead, SSDLiteHead
from pocketvision.models import Classifier, Detector, Segmenter

pytestmark = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a C++ compiler"
)
NAMES, RESIZE = ("cat", "dog"), Resize((64, 64))


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def backbone(*features: str) -> nn.Module:
    """Cut early: compiling takes seconds a layer."""
    return mobilenet_v3_small(width_mult=0.35, out_features=features)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "detection": lambda: Detector(backbone("c1", "c2"), SSDLiteHead, NAMES, RESIZE, TensorFlowAnchors()),
    "segmentation": lambda: Segmenter(
        backbone("c1", "c2"), partial(LRASPPHead, channels=8, low=("c1",), high="c2"), NAMES, RESIZE
    ),
    "classification": lambda: Classifier(
        backbone("c2"), partial(ClassifierHead, feature="c2"), NAMES, RESIZE
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("task", MODELS)
def test_inductor(task: str, as_trained: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    model = as_trained(MODELS[task]())
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected, compiled = model(images), torch.compile(model, fullgraph=True)(images)
    pairs = [(expected, compiled)] if isinstance(expected, Tensor) else zip(expected, compiled, strict=True)
    for plain, fast in pairs:
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)
