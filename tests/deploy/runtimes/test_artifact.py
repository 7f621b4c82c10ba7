"""Covers deploy/runtimes/artifact.py, deploy/runtimes/metadata.py,
deploy/runtimes/described.py.

Metadata comes back as it was written, and says so where it can't.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.described import describe, hash_weights
from pocketvision.models import Detector, VisionModel


@pytest.mark.parametrize("task", ["detection", "segmentation", "classification"])
def test_round_trip(task: str, models: dict[str, VisionModel]) -> None:
    model = models[task]
    artifact = replace(describe(model), batch=4, licence="MIT", source="ü", input_type="float")
    again = Artifact.from_json(artifact.to_json(), "m.onnx")
    assert again == artifact and again.class_names == model.class_names and again.resize == model.resize
    assert again.mean == (0.485, 0.456, 0.406)
    if isinstance(model, Detector):
        anchors = model(torch.zeros(1, 3, *model.resize.image_size)).anchors
        assert torch.equal(again.anchor_boxes, anchors), "to the bit"
        assert again.postprocess == model.postprocess
    else:
        assert again.anchors is None and again.postprocess is None


def test_hash_is_of_the_weights(models: dict[str, VisionModel]) -> None:
    model = models["classification"]
    before = hash_weights(model)
    assert len(before) == 64 and describe(model).weights_sha256 == before
    with torch.no_grad():
        model.head.class_logits.bias[0] += 1
        after = hash_weights(model)
        model.head.class_logits.bias[0] -= 1
    assert before != after


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "m.onnx was not exported by pocketvision"),
        ("", "m.onnx was not exported by pocketvision"),
        ("{", "m.onnx has broken metadata"),
        ("[1]", "m.onnx has broken metadata"),
        ('{"format_version": 99}', "another version of pocketvision: export it again"),
        ('{"format_version": 1}', "m.onnx has broken metadata"),
    ],
)
def test_foreign_and_broken_metadata(text: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Artifact.from_json(text, "m.onnx")


def test_unknown_fields_are_refused(models: dict[str, VisionModel]) -> None:
    values = json.loads(describe(models["detection"]).to_json())
    with pytest.raises(InputError, match=r"m\.onnx has broken metadata"):
        Artifact.from_json(json.dumps({**values, "new": 1}), "m.onnx")
    values["postprocess"]["score_threshold_2"] = 1
    with pytest.raises(InputError, match=r"m\.onnx has broken metadata"):
        Artifact.from_json(json.dumps(values), "m.onnx")
