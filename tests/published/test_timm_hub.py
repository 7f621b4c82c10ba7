"""Covers published/inputs.py.

timm's weights by name and file, from a server that answers as Hugging Face does."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import pocketvision
from pocketvision.configs import classifier_v3_small_imagenet, lraspp_v3_large_voc
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.published.load import load_weights
from pocketvision.published.timm_hub import is_timm_name, timm_facts
from pocketvision.tools.import_weights import main as import_weights

NATIVE, TENSORFLOW = "mobilenetv3_small_100.lamb_in1k", "tf_mobilenetv3_small_100.in1k"


@pytest.fixture
def hub(served: tuple[Path, str, list[str]], monkeypatch: pytest.MonkeyPatch, as_trained: Any) -> Any:
    """``hub(name)`` publishes timm's model with weights as after training, and returns it."""
    folder, address, _ = served
    monkeypatch.setenv("HF_ENDPOINT", address)

    def publish(name: str, has_config: bool = True) -> nn.Module:
        model = as_trained(timm.create_model(name, pretrained=False, num_classes=7))
        page = folder / "timm" / name / "resolve" / "main"
        page.mkdir(parents=True)
        save_file(model.state_dict(), page / "model.safetensors")
        if has_config:
            stated = timm.models.get_pretrained_cfg(name).to_dict()
            (page / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": stated}))
        return model

    return publish


def classifier(**options: Any) -> Any:
    return classifier_v3_small_imagenet.model(tuple("abcdefg"), weights=None, **options).eval()


@torch.no_grad()
@pytest.mark.parametrize("name", [NATIVE, TENSORFLOW])
def test_a_classifier_computes_what_timms_does(name: str, hub: Any, served: Any) -> None:
    """Another epsilon, padding and normalization than the config's included."""
    theirs = hub(name)
    inputs = {"padding": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3} if name == TENSORFLOW else {}
    model = classifier(**inputs)
    loaded = load_weights(model, f"timm/{name}")
    assert loaded.path.name == f"timm--{name}.safetensors" and loaded.facts == {"licence": "apache-2.0"}
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()
    expected = theirs(model.normalize(images))
    scale = expected.std()
    torch.testing.assert_close(model(images) / scale, expected / scale, rtol=1e-4, atol=1e-4)
    load_weights(classifier(**inputs), f"timm/{name}")
    assert sorted(served[2]) == [
        f"/timm/{name}/resolve/main/{f}" for f in ("config.json", "model.safetensors")
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", [NATIVE, TENSORFLOW])
@pytest.mark.parametrize(
    "place", ["{name}-0123abcd.pth", "{name}/model.safetensors", "page/model.safetensors"]
)
def test_a_file_of_timms_computes_what_timms_model_does(
    name: str, place: str, tmp_path: Path, as_trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """By what it, its folder or the page beside it says."""
    theirs = as_trained(timm.create_model(name, pretrained=False, num_classes=7))
    path = tmp_path / place.format(name=name)
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".pth":
        torch.save({"state_dict": theirs.state_dict(), "args": {"lr": 0.1}, "epoch": 3}, path)
    else:
        save_file(theirs.state_dict(), path)
    if place.startswith("page"):
        stated = timm.models.get_pretrained_cfg(name).to_dict()
        (path.parent / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": stated}))
    config, names = "classifier_v3_small_imagenet", tuple("abcdefg")
    model: Any = pocketvision.load(config, weights=path, class_names=names)
    images = torch.randint(0, 256, (16, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()
    expected = theirs(model.normalize(images))
    scale = expected.std()
    torch.testing.assert_close(model(images) / scale, expected / scale, rtol=1e-4, atol=1e-4)
    assert "does not say" not in caplog.text


@torch.no_grad()
def test_a_file_that_does_not_say_is_taken_for_the_models_kind(
    tmp_path: Path, as_trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = as_trained(timm.create_model(TENSORFLOW, pretrained=False, num_classes=7))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    model = classifier(padding="same", mean=(0.5,) * 3, std=(0.5,) * 3)
    load_weights(model, tmp_path / "w.pth")
    assert "w.pth does not say whether timm made it or took it from TensorFlow" in caplog.text
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()
    expected = theirs(model.normalize(images))
    torch.testing.assert_close(
        model(images) / expected.std(), expected / expected.std(), rtol=1e-4, atol=1e-4
    )


def test_a_classifier_with_other_inputs_is_refused(hub: Any) -> None:
    hub(TENSORFLOW)
    with pytest.raises(InputError, match=r"was trained with (mean|padding)"):
        load_weights(classifier(), f"timm/{TENSORFLOW}")


def test_a_backbone_learns_other_inputs(hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    theirs: Any = hub("tf_mobilenetv3_large_100.in1k")
    model = lraspp_v3_large_voc.model(("a", "b"), weights=None)
    assert "matched" in str(load_weights(model, "timm/tf_mobilenetv3_large_100.in1k").report)
    assert torch.equal(model.backbone.stem.conv.weight, theirs.conv_stem.weight)
    assert "was trained with mean [0.5, 0.5, 0.5], this model has" in caplog.text


def test_import_takes_the_inputs_from_the_page(hub: Any, served: Any, tmp_path: Path) -> None:
    hub(TENSORFLOW)
    output = tmp_path / "ours.safetensors"
    words = [f"timm/{TENSORFLOW}", "--into", "classifier_v3_small_imagenet", "--output", str(output)]
    assert import_weights([*words, "class_names=('a','b','c','d','e','f','g')"]) == 0
    passport = read_passport(output)
    file = served[0] / "timm" / TENSORFLOW / "resolve/main/model.safetensors"
    assert passport["url"] == f"{served[1]}/timm/{TENSORFLOW}/resolve/main/model.safetensors"
    assert passport["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (passport["source"], passport["licence"]) == (f"timm/{TENSORFLOW}", "apache-2.0")
    assert (passport["padding"], passport["mean"]) == ("same", [0.5, 0.5, 0.5])
    assert pocketvision.load(output).class_names == tuple("abcdefg")


def test_a_page_that_says_nothing(hub: Any, served: Any, caplog: pytest.LogCaptureFixture) -> None:
    hub(NATIVE, has_config=False)
    with caplog.at_level(logging.WARNING):
        load_weights(classifier(), f"timm/{NATIVE}")
    assert "are not known and not checked" in caplog.text


def test_without_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    place = tmp_path / "cache/hub/checkpoints" / f"timm--{NATIVE}.safetensors"
    with pytest.raises(InputError, match=f"put the file at {place} yourself") as error:
        load_weights(classifier(), f"timm/{NATIVE}")
    assert f"http://127.0.0.1:9/timm/{NATIVE}/resolve/main/model.safetensors" in str(error.value)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_timm_name(f"timm/{NATIVE}")
    for other in ("timm/../../etc", "timm/a/b", "timm/", "imagenet", "runs/timm", "timm/a b", "timm/.hidden"):
        assert not is_timm_name(other)
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "mine.pth").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert not is_timm_name("timm/mine.pth"), "a file that is there"


def test_padding_and_epsilon_are_timms(monkeypatch: pytest.MonkeyPatch, served: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("mobilenetv1_100", "mobilenetv2_050", "mobilenetv3_large_100", "tf_mobilenetv3_large_075"):
        theirs: Any = timm.create_model(name, pretrained=False)
        facts = timm_facts(f"timm/{name}")
        assert facts["norm_eps"] == [theirs.bn1.eps], name
        assert (facts["padding"] == "same") == (type(theirs.conv_stem).__name__ == "Conv2dSame"), name


@torch.no_grad()
@pytest.mark.parametrize("page", ["[" * 100_000, '{"architecture": ' + "9" * 5000 + "}", "\xff", '["a"]'])
def test_a_page_beside_a_file_that_says_nothing(page: str, tmp_path: Path, as_trained: Any) -> None:
    theirs = as_trained(timm.create_model(NATIVE, pretrained=False, num_classes=7))
    (tmp_path / "config.json").write_text(page, encoding="latin-1")
    torch.save(theirs.state_dict(), tmp_path / f"{NATIVE}.pth")
    assert load_weights(classifier(), tmp_path / f"{NATIVE}.pth").report.num_matched
