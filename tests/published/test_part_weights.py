"""Two runs of one task each start a model of both: its outputs are theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pocketvision.backbones import mobilenet_v2
from pocketvision.configs import own_detection_gfl, street_v2
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import DetectionOutput
from pocketvision.core.weights import save_weights
from pocketvision.heads import LRASPPHead
from pocketvision.models import Detector, JointModel, Segmenter
from pocketvision.published.load import load_weights
from pocketvision.runs.build import build, sources_of

SIZE = (64, 96)
LOW = ("c4", "c3_depthwise", "c2_depthwise")
MAP = street_v2.CAMVID_NAMES
Settled = Callable[[nn.Module], nn.Module]


@pytest.fixture
def boxes(as_trained: Settled) -> Detector:
    made = as_trained(own_detection_gfl.model(("car", "person"), "v2", SIZE, weights=None))
    assert isinstance(made, Detector)
    return made


@pytest.fixture
def street(as_trained: Settled) -> Segmenter:
    body = mobilenet_v2(out_features=(*LOW, "c5"), norm_momentum=0.03)
    made = as_trained(Segmenter(body, partial(LRASPPHead, low=LOW, high="c5"), MAP, Resize(SIZE)))
    assert isinstance(made, Segmenter)
    return made


def saved(model: Detector | Segmenter, path: Path) -> Path:
    save_weights(path, model, model.passport())
    return path


def joint() -> JointModel:
    return street_v2.model(street_v2.config.class_names or (), image_size=SIZE, weights=None).eval()


@torch.no_grad()
def test_a_part_says_what_its_run_says(boxes: Detector, street: Segmenter, tmp_path: Path) -> None:
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    model = joint()
    load_weights(model, saved(boxes, tmp_path / "boxes.safetensors"))
    ours, theirs = model.answer("detection", model.features(images), images), boxes(images)
    assert isinstance(ours, DetectionOutput)
    torch.testing.assert_close(ours.box_deltas, theirs.box_deltas)
    named = {name: ours.class_logits[..., i] for i, name in enumerate(street_v2.STREET_NAMES)}
    for i, name in enumerate(("car", "person")):  # rows go by name
        torch.testing.assert_close(named[name], theirs.class_logits[..., i])
    load_weights(model, saved(street, tmp_path / "street.safetensors"))  # its backbone replaces the other
    torch.testing.assert_close(model(images)["segmentation"], street(images))


@torch.no_grad()
def test_the_first_of_two_gives_the_backbone(boxes: Detector, street: Segmenter, tmp_path: Path) -> None:
    files = tuple(
        str(saved(model, tmp_path / f"{name}.safetensors")) for name, model in (("a", boxes), ("b", street))
    )
    parts = {
        task: partial(part, root=tmp_path) for task, part in street_v2.config.data.keywords["parts"].items()
    }  # type: ignore[attr-defined]
    experiment = replace(
        street_v2.config,
        model=partial(street_v2.model, image_size=SIZE, weights=files),
        data=partial(street_v2.config.data, parts=parts, num_workers=0),
    )
    model, _ = build(experiment, pretrained=True)
    assert isinstance(model.eval(), JointModel)
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    ours: Any = model(images)
    torch.testing.assert_close(ours["detection"].box_deltas, boxes(images).box_deltas)
    head = model.part("segmentation").head.state_dict()
    assert all(torch.equal(value, street.head.state_dict()[name]) for name, value in head.items())
    assert sources_of(None) == [] and sources_of("a") == ["a"]


def test_what_does_not_fit(boxes: Detector, tmp_path: Path) -> None:
    file = saved(boxes, tmp_path / "boxes.safetensors")
    with pytest.raises(InputError, match="is for detection alone"):
        load_weights(joint(), file, same_classes=True)
    other = own_detection_gfl.model(("car",), "v2", SIZE, mean=(0.5, 0.5, 0.5), weights=None)
    with pytest.raises(InputError, match="trained with mean"):
        load_weights(joint(), saved(other, tmp_path / "other.safetensors"))
    experiment = replace(own_detection_gfl.config, model=partial(own_detection_gfl.model, weights=("a", "b")))
    data = partial(experiment.data, root=tmp_path)
    with pytest.raises(InputError, match="for a model of several tasks"):
        build(replace(experiment, data=data, class_names=("car",)), pretrained=True)
