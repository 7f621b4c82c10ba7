"""A new backbone, and a new head, is one file, one line and one config: tried on a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

FILE = '''"""timm's MobileNetV4, for a test."""

from collections.abc import Sequence

import timm

from pocketvision.backbones.timm_adapter import TimmBackbone


def mobilenet_v4_tiny(out_features: Sequence[str] = ("c2", "c3", "c4", "c5")) -> TimmBackbone:
    known = ("c1", "c2", "c3", "c4", "c5")
    unknown = [name for name in out_features if name not in known]
    if unknown:
        raise ValueError(f"unknown features {unknown}: choose from {', '.join(known)}.")
    levels = tuple(known.index(name) for name in out_features)
    name = "mobilenetv4_conv_small_050"
    return TimmBackbone(timm.create_model(name, pretrained=False, features_only=True, out_indices=levels))
'''
CONFIG = '''"""A classifier on the new backbone."""

from dataclasses import replace
from functools import partial

from pocketvision.configs import own_classification as base

config = replace(base.config, model=partial(base.model, backbone="v4_tiny"))
'''
HEAD_FILE = '''"""One convolution, for a test."""

from collections.abc import Mapping

from torch import Tensor, nn

from pocketvision.core.structures import FeatureInfo, Features


class PlainHead(nn.Module):
    def __init__(self, feature_info: Mapping[str, FeatureInfo], num_classes: int) -> None:
        super().__init__()
        self.feature, info = list(feature_info.items())[-1]
        self.score = nn.Conv2d(info.channels, num_classes, 1)

    def forward(self, features: Features) -> Tensor:
        scores: Tensor = self.score(features[self.feature])
        return scores

    def class_layers(self) -> list[str]:
        return ["score"]
'''
HEAD_CONFIG = '''"""The new head on any MobileNet."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pocketvision.backbones.by_name import build_with, find_builder
from pocketvision.configs import own_segmentation as base
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.heads import PlainHead
from pocketvision.models import Segmenter

FAMILIES: dict[str, type] = {"plain": PlainHead}
AUGMENTATION = base.AUGMENTATION


def model(
    class_names: Sequence[str | None], backbone: str = "v3_small", image_size: Size = (64, 64),
    mode: str = "letterbox", norm_momentum: float = 0.03, weights: str | None = "imagenet",
) -> Segmenter:
    body = build_with(
        find_builder(backbone), ("c3",), ("c3",), weights=weights, norm_momentum=norm_momentum
    )
    return Segmenter(body, PlainHead, class_names, Resize(image_size, mode=mode))


config = replace(base.config, model=partial(model, image_size=(64, 64)))
'''
SCRIPT = """
import sys
import pocketvision.core.command as place
from pocketvision.core.registered import backbone_names, own_models
assert place.__file__.startswith(sys.argv[1]), place.__file__
assert "mobilenet_v4_tiny" in backbone_names() and "torch" not in sys.modules
models = [name for name in own_models() if name.endswith("_v4_tiny")]
expected = ["ssdlite_v4_tiny", "gfl_v4_tiny", "lraspp_v4_tiny", "deeplabv3_v4_tiny", "plain_v4_tiny"]
expected.append("classifier_v4_tiny")
assert models == expected, models
import torch
from pocketvision.configs import own_classification, own_detection, own_detection_gfl, own_segmentation
image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
options = dict(class_names=("a", "b"), image_size=(64, 64), weights=None, backbone="v4_tiny")
made = [own_classification.model(**options), own_detection.model(**options)]
made.append(own_detection_gfl.model(**options))
made += [own_segmentation.model(**options, head=head) for head in ("lraspp", "deeplabv3")]
for model in made:
    model.eval()(image)
from pocketvision.tools.cost import main as cost
for words in ("mobilenet_v4_tiny", "mobilenet_v4_tiny head=ssdlite", "mobilenet_v4_tiny head=lraspp",
              "mobilenet_v4_tiny head=deeplabv3", "classifier_v4_tiny_imagenet num_classes=5"):
    assert cost([*words.split(), "image_size=64"]) == 0, words
"""
HEAD_SCRIPT = """
import sys
from pathlib import Path
from pocketvision.tools.export import main as export
from pocketvision.tools.train import main as train
for backbone in ("v2", "v4_tiny"):
    run = Path(f"run_{backbone}")
    command = ["--data", sys.argv[2], "--model", f"plain_{backbone}", "--run-dir", str(run)]
    small = ["data.batch_size=2", "data.num_workers=0", "trainer.max_steps=1"]
    small += ["model.weights=None", "model.image_size=(64,64)"]
    assert train([*command, *small]) == 0
    assert "own_segmentation_plain as base" in next((run / "config").iterdir()).read_text()
assert export([str(run), "--format", "onnx", "--output", "plain.onnx"]) == 0
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folders, of which only the new backbone's are more than links."""
    package = tmp_path_factory.mktemp("copy") / "pocketvision"
    package.mkdir()
    for path in [*(ROOT / "api").iterdir(), *ROOT.iterdir()]:
        if path.name in ("backbones", "configs", "core", "heads"):
            shutil.copytree(path, package / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.parent.name == "api" or (path / "__init__.py").is_file():
            (package / path.name).symlink_to(path)
    (package / "backbones" / "mobilenet_v4.py").write_text(FILE)
    (package / "configs" / "classifier_v4_tiny_imagenet.py").write_text(CONFIG)
    (package / "heads" / "plain.py").write_text(HEAD_FILE)
    (package / "configs" / "own_segmentation_plain.py").write_text(HEAD_CONFIG)
    _add_line(package / "backbones", "mobilenet_v4", "mobilenet_v4_tiny")
    _add_line(package / "heads", "plain", "PlainHead")
    return package.parent


def _add_line(room: Path, module: str, name: str) -> None:
    text = (room / "__init__.py").read_text()
    line = f"from pocketvision.{room.name}.{module} import {name}\n"
    (room / "__init__.py").write_text(text.replace("__all__ = [", f'{line}__all__ = [\n    "{name}",'))


def _run(script: str, copy: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-c", script, str(copy), *arguments]
    done = subprocess.run(
        command, env=environment, cwd=copy, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_new_backbone_is_offered_everywhere(copy: Path) -> None:
    _run(SCRIPT, copy)


def test_a_new_head_trains_on_own_data_and_is_exported(copy: Path, tiny: Callable[[str], Path]) -> None:
    _run(HEAD_SCRIPT, copy, str(tiny("masks")))
