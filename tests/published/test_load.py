"""Covers published/catalog.py, published/mismatch.py.

Weights by name, file and run folder, served from a local folder where they are torchvision's.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, segmentation

import pocketvision
from pocketvision.configs import (
    classifier_v2_imagenet,
    classifier_v3_small_imagenet,
    deeplabv3_v3_large_voc,
    lraspp_v3_large_voc,
    lraspp_v3_small_cityscapes,
    ssdlite_v2_coco,
    ssdlite_v3_large_coco,
)
from pocketvision.core.errors import InputError
from pocketvision.core.weights import save_weights
from pocketvision.published import catalog
from pocketvision.published.convert import to_published
from pocketvision.published.load import load_weights
from pocketvision.published.provenance import describe_source

Randomize = Callable[[nn.Module], nn.Module]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.fixture
def publish(served: tuple[Path, str, list[str]], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``publish(name, model)`` puts a model's file where torchvision's lies, under its name with the right
    hash, and returns that; ``digest`` gives it another hash."""
    folder, address, _ = served

    def put(name: str, model: nn.Module, is_deeplab: bool = False, digest: str = "") -> str:
        theirs = catalog._torchvision(name, is_deeplab)
        torch.save(model.state_dict(), folder / "file")
        digest = digest or hashlib.sha256((folder / "file").read_bytes()).hexdigest()[:8]
        file = re.sub("-[0-9a-f]{8}[.]", f"-{digest}.", theirs.url.rpartition("/")[2])
        (folder / "file").rename(folder / file)
        there = SimpleNamespace(url=f"{address}/{file}", meta=theirs.meta)
        known = {(name, is_deeplab): there}
        real = catalog._torchvision
        monkeypatch.setattr(
            catalog, "_torchvision", lambda n, deep=False: known.get((n, deep)) or real(n, deep)
        )
        return file

    return put


def test_the_catalog_names_torchvisions_files() -> None:
    detector = ssdlite_v3_large_coco.model(("a",))
    lraspp = lraspp_v3_large_voc.model(("a",), weights=None)
    deeplab = deeplabv3_v3_large_voc.model(("a",), weights=None)
    start = "https://download.pytorch.org/models/"
    for name, model, file in (
        ("coco", detector, "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"),
        ("coco-voc", lraspp, "lraspp_mobilenet_v3_large-d234d4ea.pth"),
        ("coco-voc", deeplab, "deeplabv3_mobilenet_v3_large-fc3c493d.pth"),
    ):
        assert catalog.find_published(name, model).url == start + file
        assert catalog.find_published("coco", model).url == start + file, "there is one file a kind of model"
        assert describe_source(model, name) == {"source": name, "url": start + file}


@torch.no_grad()
def test_coco_from_end_to_end(
    publish: Any,
    served: Any,
    published_ssdlite: Any,
    assert_same_detections: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By name: fetched, its hash checked, kept, converted; it finds what torchvision's model finds."""
    file = publish("coco", published_ssdlite)
    with caplog.at_level(logging.INFO, "pocketvision"):
        model = pocketvision.load("ssdlite_v3_large_coco", weights="coco")
    cached = tmp_path / "cache/hub/checkpoints" / file
    assert f"{cached}: matched" in caplog.text and [p.name for p in cached.parent.iterdir()] == [file]
    images = torch.randint(0, 3, (2, 3, 320, 320)) * 127.5  # values that both normalize without rounding
    for mine, expected in zip(
        model.predict(images).unpad(), published_ssdlite(list(images / 255)), strict=True
    ):
        assert_same_detections(mine, expected)

    few = ssdlite_v3_large_coco.model(("dog", "ship", "person"))
    loaded = load_weights(few, "coco")
    assert str(loaded.report).endswith("6 class heads kept 2 classes by name (90 -> 3 classes)")
    assert loaded.facts["class_ids"] == [18, None, 1], "COCO's own ids"
    assert served[2] == [f"/{file}"], "fetched once"


@torch.no_grad()
@pytest.mark.parametrize("is_deeplab", [False, True])
def test_coco_voc_from_end_to_end(is_deeplab: bool, publish: Any, as_trained: Randomize) -> None:
    config = "deeplabv3_v3_large_voc" if is_deeplab else "lraspp_v3_large_voc"
    kind = (
        partial(segmentation.deeplabv3_mobilenet_v3_large, aux_loss=True)
        if is_deeplab
        else segmentation.lraspp_mobilenet_v3_large
    )
    theirs: Any = as_trained(kind(weights=None, weights_backbone=None))
    images = torch.randint(0, 256, (1, 3, 96, 128), generator=torch.Generator().manual_seed(0)).float()
    last = theirs.classifier[4] if is_deeplab else theirs.classifier.high_classifier
    last.bias -= theirs(images / 127.5 - 1)["out"].mean((0, 2, 3))  # else one class is everywhere
    publish("coco-voc", theirs, is_deeplab)
    model: Any = pocketvision.load(config, weights="coco-voc")
    size = (96, 128)
    logits = theirs(model.normalize(images))["out"]
    ours = nn.functional.interpolate(model(images), size, mode="bilinear")
    scale = logits.std()
    torch.testing.assert_close(ours / scale, logits / scale, rtol=1e-4, atol=1e-4)
    model.resize = replace(model.resize, image_size=size)
    labels, expected = model.predict(images, [size])[0], logits[0].argmax(dim=0)
    assert len(expected.unique()) > 1 and (labels == expected).float().mean() > 0.999


def test_a_broken_download_never_stays(publish: Any, tmp_path: Path) -> None:
    file = publish("coco", nn.Linear(1, 1), digest="01234567")
    with pytest.raises(InputError, match=f"{file} could not be downloaded .*its hash is .*put the file at"):
        load_weights(ssdlite_v3_large_coco.model(("a",)), "coco")
    assert list((tmp_path / "cache/hub/checkpoints").iterdir()) == []


def test_a_file_that_was_put_there_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Any
) -> None:
    """Without a connection the sentence says where; there it is found."""
    monkeypatch.setattr(
        catalog,
        "_torchvision",
        lambda *_: SimpleNamespace(
            url="http://127.0.0.1:9/coco-a79551df.pth", meta={"categories": ["bg", "a"]}
        ),
    )
    model = ssdlite_v3_large_coco.model(("a",))
    place = tmp_path / "cache/hub/checkpoints/coco-a79551df.pth"
    with pytest.raises(InputError, match=f"put the file at {place}") as error:
        load_weights(model, "coco")
    assert "http://127.0.0.1:9/coco-a79551df.pth" in str(error.value)
    torch.save(to_published(model, "torchvision"), place)
    other = ssdlite_v3_large_coco.model(("a",))
    load_weights(other, "coco")
    assert same(model, other)


def test_a_classifiers_file(tmp_path: Path, as_trained: Randomize) -> None:
    """Whole into a classifier, its backbone into a detector; another number of classes starts afresh."""
    theirs = as_trained(mobilenet_v2(num_classes=7))
    path = tmp_path / "v2.pth"
    torch.save(theirs.state_dict(), path)
    images = torch.rand(1, 3, 64, 64)
    whole = classifier_v2_imagenet.model(tuple("abcdefg"), weights=None).eval()
    load_weights(whole, path)
    with torch.no_grad():
        torch.testing.assert_close(whole.head(whole.backbone(images)), theirs(images), rtol=1e-4, atol=1e-4)
    report = load_weights(classifier_v2_imagenet.model(("x", "y"), weights=None), path).report
    assert "1 class head re-initialized (7 -> 2 classes)" in str(report)

    detector = ssdlite_v2_coco.model(("x",), weights=None).eval()
    load_weights(detector, path)
    assert torch.equal(detector.backbone.backbone.stem.conv.weight, theirs.features[0][0].weight)


def test_our_own_files(tmp_path: Path) -> None:
    """All of it into the same kind of model, by class name; the backbone into another task's."""
    first = classifier_v3_small_imagenet.model(("cat", "dog"), weights=None)
    save_weights(tmp_path / "weights.safetensors", first, first.passport())
    again = classifier_v3_small_imagenet.model(("cat", "dog"), weights=None)
    assert load_weights(again, tmp_path).report.note == "" and same(first, again)
    swapped = classifier_v3_small_imagenet.model(("dog", "cat", "owl"), weights=None)
    note = load_weights(swapped, tmp_path / "weights.safetensors").report.note
    assert note == "1 class head kept 2 classes by name (2 -> 3 classes)"
    assert torch.equal(swapped.head.class_logits.weight[:2], first.head.class_logits.weight.flip(0))


def test_a_file_of_another_task_or_preprocessing_is_refused(tmp_path: Path) -> None:
    model = lraspp_v3_large_voc.model(("a", "b"), weights=None)
    save_weights(tmp_path / "w.safetensors", model, model.passport())
    with pytest.raises(InputError, match="was trained with task segmentation, this model has detection"):
        load_weights(ssdlite_v3_large_coco.model(("a", "b")), tmp_path / "w.safetensors")
    save_weights(tmp_path / "v.safetensors", model, {**model.passport(), "mean": [0.5, 0.5, 0.5]})
    with pytest.raises(InputError, match="was trained with mean"):
        load_weights(model, tmp_path / "v.safetensors")


CHANGES = [
    ("task", "segmentation", "task segmentation, this model has detection"),
    ("score_function", "sigmoid", "score_function sigmoid, this model has softmax"),
    ("anchors", "TensorFlowAnchors()", "anchors TensorFlowAnchors"),
    ("padding", "same", "padding same, this model has torch"),
    ("norm_eps", [1e-5], r"norm_eps \[1e-05\], this model has \[0.001\]"),
    ("mean", [0.485, 0.456, 0.406], "mean"),
    ("std", [0.5, 0.5, 0.4], "std"),
    ("resize", {"mode": "letterbox"}, "resize mode letterbox, this model has stretch"),
    ("resize", {"interpolation": "nearest"}, "resize interpolation nearest"),
    ("resize", {"antialias": True}, "resize antialias True, this model has False"),
]


@pytest.fixture(scope="module")
def small_detector() -> Any:
    return ssdlite_v3_large_coco.model(("a", "b"), width_mult=0.35)


@pytest.mark.parametrize(("key", "value", "sentence"), CHANGES)
def test_what_a_passport_says_otherwise_is_refused(
    key: str, value: Any, sentence: str, tmp_path: Path, small_detector: Any
) -> None:
    path, passport = tmp_path / "w.safetensors", small_detector.passport()
    if isinstance(value, dict):
        value = {**passport[key], **value}
    save_weights(path, small_detector, {**passport, key: value})
    with pytest.raises(InputError, match=f"w.safetensors was trained with {sentence}"):
        load_weights(small_detector, path)


def test_sizes_rounding_and_for_other_classes_resizing_may_differ(
    tmp_path: Path, small_detector: Any
) -> None:
    path, passport = tmp_path / "w.safetensors", small_detector.passport()
    other = {**passport, "resize": {**passport["resize"], "image_size": [64, 64]}, "mean": [0.5000001] * 3}
    save_weights(path, small_detector, other)
    load_weights(small_detector, path)
    letterbox = {**passport["resize"], "mode": "letterbox"}
    save_weights(path, small_detector, {**passport, "resize": letterbox, "class_names": ["x", "b"]})
    assert "kept 1 classes by name" in load_weights(small_detector, path).report.note


def test_a_backbone_with_another_epsilon_is_refused(tmp_path: Path) -> None:
    classifier = classifier_v3_small_imagenet.model(("a",), weights=None)
    save_weights(tmp_path / "w.safetensors", classifier, {**classifier.passport(), "norm_eps": [1e-5]})
    with pytest.raises(InputError, match="norm_eps"):
        load_weights(lraspp_v3_small_cityscapes.model(("a",), weights=None), tmp_path / "w.safetensors")


def test_plain_files_of_our_own(tmp_path: Path, small_detector: Any) -> None:
    """A state dict or checkpoint without a passport, such as a stopped run's."""
    other = ssdlite_v3_large_coco.model(("a", "b"), width_mult=0.35)
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in small_detector.state_dict().items()}}, tmp_path / "a.ckpt"
    )
    load_weights(other, tmp_path / "a.ckpt")
    assert same(small_detector, other)


def test_ids_and_licence_go_on_by_name(tmp_path: Path, small_detector: Any) -> None:
    facts = {"class_ids": [3, 90], "licence": "MIT"}
    save_weights(tmp_path / "w.safetensors", small_detector, {**small_detector.passport(), **facts})
    model = ssdlite_v3_large_coco.model(("new", "b"), width_mult=0.35)
    assert load_weights(model, tmp_path / "w.safetensors").facts == {
        "class_ids": [None, 90],
        "licence": "MIT",
    }


def test_for_scoring_the_classes_must_be_the_same(tmp_path: Path) -> None:
    model = classifier_v3_small_imagenet.model(("cat", "dog"), weights=None)
    save_weights(tmp_path / "w.safetensors", model, model.passport())
    other = classifier_v3_small_imagenet.model(("cat", "dog", "owl"), weights=None)
    with pytest.raises(InputError, match="number of classes"):
        load_weights(other, tmp_path / "w.safetensors", same_classes=True)


def test_names_that_nobody_knows(tmp_path: Path) -> None:
    torch.save({"layer1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(InputError, match=r"no names of torchvision, timm or this project .*layer1\.weight"):
        load_weights(classifier_v2_imagenet.model(("a",), weights=None), tmp_path / "resnet.pth")
    with pytest.raises(InputError, match="no published weights 'coco' for a classifier: choose 'imagenet'"):
        load_weights(classifier_v2_imagenet.model(("a",), weights=None), "coco")
    with pytest.raises(InputError, match="There is no weights file"):
        load_weights(classifier_v2_imagenet.model(("a",), weights=None), "cocco")
