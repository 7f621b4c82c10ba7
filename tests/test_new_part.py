"""A new backbone is one file, one line and one config: tried on a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
SCRIPT = """
import sys
import pocketvision.core.command as place
from pocketvision.core.registered import backbone_names, own_models
assert place.__file__.startswith(sys.argv[1]), place.__file__
assert "mobilenet_v4_tiny" in backbone_names() and "torch" not in sys.modules
models = [name for name in own_models() if name.endswith("_v4_tiny")]
assert models == ["ssdlite_v4_tiny", "lraspp_v4_tiny", "deeplabv3_v4_tiny", "classifier_v4_tiny"], models
import torch
from pocketvision.configs import own_classification, own_detection, own_segmentation
image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
options = dict(class_names=("a", "b"), image_size=(64, 64), weights=None, backbone="v4_tiny")
made = [own_classification.model(**options), own_detection.model(**options)]
made += [own_segmentation.model(**options, head=head) for head in ("lraspp", "deeplabv3")]
for model in made:
    model.eval()(image)
from pocketvision.tools.cost import main as cost
for words in ("mobilenet_v4_tiny", "mobilenet_v4_tiny head=ssdlite", "mobilenet_v4_tiny head=lraspp",
              "mobilenet_v4_tiny head=deeplabv3", "classifier_v4_tiny_imagenet num_classes=5"):
    assert cost([*words.split(), "image_size=64"]) == 0, words
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folders, of which only the new backbone's are more than links."""
    package = tmp_path_factory.mktemp("copy") / "pocketvision"
    package.mkdir()
    for path in [*(ROOT / "api").iterdir(), *ROOT.iterdir()]:
        if path.name in ("backbones", "configs", "core"):
            shutil.copytree(path, package / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.parent.name == "api" or (path / "__init__.py").is_file():
            (package / path.name).symlink_to(path)
    (package / "backbones" / "mobilenet_v4.py").write_text(FILE)
    (package / "configs" / "classifier_v4_tiny_imagenet.py").write_text(CONFIG)
    room = package / "backbones" / "__init__.py"
    line = "from pocketvision.backbones.mobilenet_v4 import mobilenet_v4_tiny\n"
    room.write_text(room.read_text().replace("__all__ = [", f'{line}__all__ = [\n    "mobilenet_v4_tiny",'))
    return package.parent


def test_a_new_backbone_is_offered_everywhere(copy: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-c", SCRIPT, str(copy)]
    done = subprocess.run(
        command, env=environment, cwd=copy, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
