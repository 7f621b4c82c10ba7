"""Names of backbones and models are those of the code, and no torch is needed to know them."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from pocketvision import backbones
from pocketvision.configs import own_classification, own_detection, own_detection_gfl, own_segmentation
from pocketvision.core.command import shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.core.registered import (
    TaskName,
    backbone_names,
    default_model,
    families,
    model_of,
    own_models,
    short_name,
    task_of,
)

OWN = {
    "detection": own_detection,
    "segmentation": own_segmentation,
    "classification": own_classification,
}


def test_backbones_are_those_of_the_folder() -> None:
    assert list(backbone_names()) == [name for name in backbones.__all__ if name.islower()]
    assert [short_name(name) for name in ("mobilenet_v3_small", "ghostnet")] == ["v3_small", "ghostnet"]


def test_models_are_families_on_backbones() -> None:
    configs = [*OWN.items(), ("detection", own_detection_gfl)]
    assert families() == {family: task for task, config in configs for family in config.FAMILIES}
    assert len(own_models()) == len(families()) * len(backbone_names())
    assert task_of("deeplabv3_v3_small") == "segmentation"
    with pytest.raises(InputError, match=r"no model 'yolo': choose ssdlite_edgetpu, .*classifier_v3_small\."):
        task_of("yolo")


def test_the_default_is_what_the_config_s_function_has() -> None:
    for task in get_args(TaskName):
        family, _, backbone = default_model(task).partition("_")
        config = own_detection_gfl if family == "gfl" else OWN[task]
        defaults = dict(zip(("backbone", "head"), config.model.__defaults__ or (), strict=False))
        assert backbone == defaults["backbone"] and families()[family] == task
        assert defaults["head"] == family or task != "segmentation"


def test_configs_say_their_model_by_their_names() -> None:
    assert model_of("ssdlite_v3_large_coco") == "ssdlite_v3_large"
    assert model_of("quickstart") is None
    others = [name for name in shipped_configs() if model_of(name) is None]
    assert all(name.startswith(("own_", "imported_", "street_", "quickstart")) for name in others)


def test_torch_is_not_imported() -> None:
    code = "import sys; from pocketvision.core.registered import own_models; own_models()"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
