"""Covers models/input_facts.py.

A weights file can build its own model; what it may name is what this package ships.
"""

from __future__ import annotations

import resource
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import pocketvision
from pocketvision.configs import quickstart, ssdlite_v3_small_coco
from pocketvision.core.command import load_config, shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport, save_weights
from pocketvision.models import Detector
from pocketvision.runs.passport import build_from_passport, describe_builder, make_passport

NAMES = ("cat", None, "dog")


def saved(tmp_path: Path, **changes: Any) -> Path:
    """A weights file of a small SSDLite, its passport changed."""
    config = load_config(shipped_configs()["ssdlite_v3_small_coco"])[0].config
    build = partial(config.model, width_mult=0.35, image_size=(64, 96), weights="somewhere")
    model = build(NAMES, weights=None)
    passport = make_passport(model, replace(config, model=build), licence="Apache-2.0", source=None)
    save_weights(tmp_path / "w.safetensors", model, {**passport, **changes})
    return tmp_path / "w.safetensors"


def test_a_file_builds_its_model(tmp_path: Path) -> None:
    path = saved(tmp_path)
    passport = read_passport(path)
    assert passport["builder"] == {
        "config": "ssdlite_v3_small_coco",
        "function": "model",
        "arguments": {"image_size": [64, 96], "width_mult": 0.35},
    }
    assert passport["licence"] == "Apache-2.0" and "source" not in passport
    assert passport["padding"] == "torch" and passport["norm_eps"] == [0.001]
    model = pocketvision.load(path)
    assert isinstance(model, Detector) and model.class_names == NAMES and not model.training
    assert model.resize.image_size == (64, 96)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    again = pocketvision.load(path)
    assert torch.equal(model(images).class_logits, again(images).class_logits)


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        (None, "does not say how to build its model"),
        ({"config": "../../etc/passwd", "function": "model", "arguments": {}}, "does not ship"),
        ({"config": "ssdlite_v3_small_coco", "function": "partial", "arguments": {}}, "does not ship"),
        ({"config": "ssdlite_v3_small_coco", "function": "__import__", "arguments": {}}, "does not ship"),
        ({"config": "ssdlite_v3_small_coco", "function": "model", "arguments": {"x": 1}}, "does not fit"),
        ({"config": ["a"], "function": "model"}, "does not ship"),
    ],
)
def test_files_choose_nothing_but_shipped_models(tmp_path: Path, builder: Any, sentence: str) -> None:
    path = saved(tmp_path, builder=builder)
    with pytest.raises(InputError, match=sentence):
        pocketvision.load(path)


def test_a_users_own_code_is_not_named() -> None:
    assert describe_builder(lambda names: None) is None
    assert describe_builder(partial(ssdlite_v3_small_coco.model, image_size=object())) is None


def test_load_by_name(tmp_path: Path) -> None:
    model = pocketvision.load("ssdlite_v3_small_coco", class_names=("cat",))
    assert isinstance(model, Detector) and model.class_names == ("cat",)
    with pytest.raises(InputError, match="takes its class names from data: give class_names"):
        pocketvision.load("ssdlite_v3_small_coco")
    with pytest.raises(InputError, match="Did you mean 'ssdlite_v3_small_coco'"):
        pocketvision.load("ssdlite_v3_smal_coco")
    with pytest.raises(InputError, match="is not a run folder"):
        pocketvision.load(tmp_path)


def test_a_builder_from_the_passport_has_no_weights_yet(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert build_from_passport(read_passport(path), path).class_names == NAMES


def test_nothing_is_fetched_for_a_file_that_has_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where training starts from published weights by default, a trained file must not ask for them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *_, **__: pytest.fail("a connection"))
    config = load_config(shipped_configs()["ssdlite_v2_coco"])[0].config
    build = partial(config.model, width_mult=0.35)
    model = build(NAMES, weights=None)
    save_weights(tmp_path / "w.safetensors", model, make_passport(model, replace(config, model=build)))
    assert pocketvision.load(tmp_path / "w.safetensors").class_names == NAMES


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"weights": "coco"}, "it states weights"),
        ({"class_names": ["x"]}, "it states class_names"),
        ({"width_mult": 1e4, "image_size": [64, 96]}, "its model has .* numbers, its tensors"),
        ({"width_mult": 1e300}, "does not fit"),
        ({"width_mult": float("nan")}, "does not fit"),
        ({"width_mult": "wide"}, "does not fit"),
        ({"image_size": 3}, "does not fit"),
        ("x", "does not fit"),
    ],
)
def test_absurd_arguments_are_refused_at_once(tmp_path: Path, arguments: Any, sentence: str) -> None:
    builder = {"config": "ssdlite_v3_small_coco", "function": "model", "arguments": arguments}
    path = saved(tmp_path, builder=builder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=sentence):
        pocketvision.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_run_s_copy_of_a_shipped_config_is_the_shipped_one(tmp_path: Path) -> None:
    """What a resumed run is built from; a changed copy is the user's own."""
    shipped = Path(quickstart.__file__)
    copy = tmp_path / shipped.name
    copy.write_bytes(shipped.read_bytes())
    found = describe_builder(load_config(copy)[0].config.model)
    assert found is not None and found == describe_builder(quickstart.config.model)
    copy.write_bytes(shipped.read_bytes() + b"# mine\n")
    assert describe_builder(load_config(copy)[0].config.model) is None
