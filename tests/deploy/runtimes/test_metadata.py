"""Metadata that no exporter wrote are one sentence, whatever is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel

FAULTS: list[tuple[tuple[str, ...], Any]] = [
    (("task",), "regression"),
    (("task",), ["detection"]),
    (("class_names",), []),
    (("class_names",), "cat"),
    (("class_names",), ["cat", 5]),
    (("class_names",), ["cat", "cat", "dog", "owl"]),
    (("class_names",), [None, None]),
    (("outputs",), ["logits"]),
    (("outputs",), 5),
    (("weights_sha256",), None),
    (("source",), {"a": 1}),
    (("threshold",), 2.0),
    (("threshold",), "half"),
    (("mean",), [0.5, 0.5]),
    (("mean",), [0.5, 0.5, float("nan")]),
    (("std",), [0.5, 0.5, 0.0]),
    (("input_type",), "int4"),
    (("layout",), "NHWC"),
    (("batch",), -1),
    (("batch",), 1.5),
    (("batch",), True),
    (("has_dynamic_size",), "yes"),
    (("resize",), 5),
    (("resize", "image_size"), [320]),
    (("resize", "image_size"), [0, 320]),
    (("resize", "image_size"), [320.5, 320]),
    (("resize", "image_size"), [10**9, 10**9]),
    (("resize", "mode"), "fold"),
    (("resize", "mode"), ["letterbox"]),
    (("resize", "fill"), 256),
    (("resize", "fill"), "grey"),
    (("resize", "crop_share"), 0),
    (("postprocess",), None),
    (("postprocess",), []),
    (("postprocess", "score_threshold"), "low"),
    (("postprocess", "iou_threshold"), 7),
    (("postprocess", "max_detections"), 0),
    (("postprocess", "max_detections"), 10**30),
    (("postprocess", "score_function"), "tanh"),
    (("postprocess", "reserved_labels"), [99]),
    (("postprocess", "coder"), {"center_variance": -1}),
    (("anchors",), None),
    (("anchors",), [[0, 0, 1]]),
    (("anchors",), [[0, 0, 1, "x"]]),
    (("quantization",), 3),
    (("quantization",), {"num_images": "many", "float_blocks": []}),
]


@pytest.fixture(scope="module")
def values(models: dict[str, VisionModel]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(describe(models["detection"]).to_json())
    return content


@pytest.mark.parametrize(("path", "value"), FAULTS)
def test_a_fault_is_one_sentence(path: tuple[str, ...], value: Any, values: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(values))
    place = broken
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(InputError, match=r"^m\.onnx has broken metadata \(.+\): export it again\.$") as error:
        Artifact.from_json(json.dumps(broken), "m.onnx")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["task", "class_names", "resize", "mean", "outputs", "postprocess"])
def test_a_field_that_is_missing(name: str, values: dict[str, Any]) -> None:
    less = {key: value for key, value in values.items() if key != name}
    with pytest.raises(InputError, match=rf"m\.onnx has broken metadata \(it lacks '{name}'\)"):
        Artifact.from_json(json.dumps(less), "m.onnx")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format_version": ' + "9" * 5000 + "}", '{"format_version": 1e999}']
)
def test_json_that_is_no_metadata(text: str) -> None:
    with pytest.raises(InputError, match=r"m\.onnx (has broken metadata|was exported by another version)"):
        Artifact.from_json(text, "m.onnx")


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_metadata_that_are_no_utf_8(form: str, exported: Callable[..., Path], tmp_path: Path) -> None:
    whole = exported("detection", form)
    file = tmp_path / whole.name
    if form == "openvino":
        shutil.copy(whole.with_suffix(".bin"), tmp_path)
    data = whole.read_bytes()
    place = data.rindex(b"cat")
    file.write_bytes(data[:place] + b"\xb1" + data[place + 1 :])
    with pytest.raises(InputError, match=r"detection\.\w+ can.t be opened \(.utf-8. codec"):
        open_runtime(file)
