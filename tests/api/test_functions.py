"""Covers api/__init__.py: the commands as functions, on a run of old and generated data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pocketvision
from pocketvision.core.errors import InputError
from pocketvision.deploy.formats import ExportOptions

RUN = Path(__file__).resolve().parents[1] / "runs" / "version_0_1" / "quickstart"
IMAGE = np.full((70, 90, 3), 200, np.uint8)


def test_predict_is_the_predictors_answer_in_order(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    found = pocketvision.predict(str(RUN), [tmp_path / "a.png", IMAGE], threshold=0.1, device="cpu")
    expected = pocketvision.Predictor.load(RUN, threshold=0.1, device="cpu")(IMAGE)
    assert [one.path for one in found] == [str(tmp_path / "a.png"), None]
    assert all(one.to_dict()["detections"] == expected.to_dict()["detections"] for one in found)
    with pytest.raises(InputError, match=r"give a list, as \[image\]"):
        pocketvision.predict(RUN, str(tmp_path / "a.png"))


def test_evaluate_gives_metrics_and_where_the_report_is(tmp_path: Path) -> None:
    metrics, folder = pocketvision.evaluate(RUN, output=str(tmp_path / "scored"))
    assert folder == tmp_path / "scored" and (folder / "report.html").is_file()
    assert metrics["AP"] == json.loads((folder / "metrics.json").read_text())["AP"]
    with pytest.raises(InputError, match="is a config, not a run folder"):
        pocketvision.evaluate("quickstart")


def test_export_writes_a_new_file_that_predicts(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="an extra")
    path = pocketvision.export(RUN, str(tmp_path / "m.onnx"))
    assert path == tmp_path / "m.onnx"
    (found,) = pocketvision.predict(path, [IMAGE], threshold=0.1)
    (expected,) = pocketvision.predict(RUN, [IMAGE], threshold=0.1, device="cpu")
    assert found.boxes is not None and expected.boxes is not None
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    with pytest.raises(InputError, match="exists already"):
        pocketvision.export(RUN, path)
    with pytest.raises(InputError, match="calibrate"):
        pocketvision.export(RUN, tmp_path / "8.onnx", options=ExportOptions(int8=True))


def test_check_data_returns_what_is_wrong(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            pixels = np.random.default_rng(len(split) + len(name)).integers(
                0, 255, (40, 40, 3), dtype=np.uint8
            )
            Image.fromarray(pixels).save(tmp_path / split / name / f"{name}.png")
    (tmp_path / "train" / "cat" / "broken.png").write_bytes(b"no picture")
    examination = pocketvision.check_data(str(tmp_path))
    assert examination.report.findings.num("error") >= 1
    assert "broken.png" in json.dumps(examination.report.as_json())
    with pytest.raises(InputError):
        pocketvision.check_data(tmp_path / "none")
