"""One line gives a ready model: what the weights say counts, and what is missing is said first."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import pocketvision
from pocketvision.configs import classifier_v2_imagenet, classifier_v3_small_imagenet, ssdlite_v3_small_coco
from pocketvision.core.errors import InputError
from pocketvision.core.weights import save_weights
from pocketvision.published.load import local_file
from pocketvision.runs import ready_model as load
from pocketvision.runs.passport import make_passport

NAMES = ("cat", "dog")


def test_a_config_is_built_as_its_weights_were_trained(tmp_path: Path) -> None:
    """Size, width, padding and normalization come from the passport, classes from the caller."""
    config = classifier_v3_small_imagenet.config
    build = partial(
        classifier_v3_small_imagenet.model,
        image_size=(64, 64), width_mult=0.35, padding="same", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip
    model = build(NAMES)
    path = tmp_path / "w.safetensors"
    save_weights(path, model, make_passport(model, replace(config, model=build)))
    for names in (None, ("dog", "owl", "cat")):
        found = pocketvision.load("classifier_v3_small_imagenet", weights=path, class_names=names)
        assert found.class_names == (names or NAMES) and found.resize.image_size == (64, 64)
        assert found.passport()["padding"] == "same" and found.passport()["mean"][0] == 0.5
        rows = [NAMES.index(name) for name in found.class_names if name in NAMES]
        kept = [i for i, name in enumerate(found.class_names) if name in NAMES]
        theirs, ours = model.state_dict(), found.state_dict()
        assert torch.equal(ours["head.class_logits.weight"][kept], theirs["head.class_logits.weight"][rows])
        assert torch.equal(ours["backbone.stem.conv.weight"], theirs["backbone.stem.conv.weight"])


def test_imagenets_classes_have_names() -> None:
    for name in ("imagenet", "timm/mobilenetv2_100.ra_in1k"):
        names = load._class_names(classifier_v2_imagenet.config, name)
        assert names is not None and len(set(names)) == 1000 and names[0] == "tench"
        assert load._class_names(ssdlite_v3_small_coco.config, name) is None, (
            "only its backbone is ImageNet's"
        )


@pytest.mark.parametrize(
    ("source", "weights", "sentence"),
    [
        ("ssdlite_v3_small_coco", "imagnet", "There is no weights file imagnet"),
        ("ssdlite_v3_small_coco", "gone/w.safetensors", "There is no weights file gone/w.safetensors"),
        ("v2.pth", None, "v2.pth can't be opened as weights"),
        ("graph.pb", None, "graph.pb is no frozen TensorFlow graph: it holds no operation"),
        ("ssdlite_v3_small_coco", "model.onnx", "model.onnx is of a kind that is not read: give .pth"),
        ("ssdlite_v3_small_coco", "saved", "saved is a SavedModel, .*variables/variables.index"),
    ],
)
def test_what_is_no_model_or_weights(
    source: str, weights: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("saved").mkdir()
    for name in ("v2.pth", "graph.pb", "model.onnx", "saved/saved_model.pb"):
        Path(name).touch()
    with pytest.raises(InputError, match=sentence):
        pocketvision.load(source, weights=weights)


@pytest.mark.parametrize("name", ["model.ckpt-7", "model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001"])
def test_a_checkpoint_may_be_named_as_tensorflow_does(name: str, tmp_path: Path) -> None:
    for suffix in ("index", "data-00000-of-00001", "meta"):
        (tmp_path / f"model.ckpt-7.{suffix}").touch()
    assert local_file(tmp_path / name) == tmp_path / "model.ckpt-7.index"
