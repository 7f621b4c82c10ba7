"""What labeling tools import says what was predicted, and is read back as the same boxes and pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.datasets import detect_format, read_mask
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.output_names import OutputNames
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.writers import Writers
from pocketvision.deploy.prediction_formats import LABEL_FORMATS, check_pictures, check_task

NAMES = ("background", "cat", None, "owl & <co>")
SIZES: dict[str, Size] = {"x/1.jpg": (61, 83), "y/1.jpg": (40, 57), "y/none at all.png": (30, 30)}


def predictions(root: Path, task: str) -> list[tuple[SourceFrame, Prediction]]:
    """Of three pictures below ``root``, in the last of which nothing is found."""
    generator = np.random.default_rng(0)
    found = []
    for name, (height, width) in SIZES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        PillowImage.fromarray(image).save(path)
        count = 0 if "none" in name else 9
        fields: dict[str, Any] = _boxes(generator, count, (height, width))
        if task == "segmentation":
            coarse = generator.choice([0, 1, 3], (height // 5 + 1, width // 5 + 1)) * bool(count)
            whole = coarse.repeat(5, 0).repeat(5, 1)[:height, :width]
            fields = {"label_map": np.ascontiguousarray(whole, np.uint8)}
        frame = SourceFrame(Source("image", str(path)), image)
        found.append((frame, Prediction(task, image, NAMES, str(path), **fields)))  # type: ignore[arg-type]
    return found


def _boxes(generator: np.random.Generator, count: int, size: Size) -> dict[str, Any]:
    corners = np.sort(generator.random((count, 2, 2)), axis=1) * [size[1], size[0]]
    scores = -np.sort(-generator.random(count))
    labels = generator.choice([1, 3], count)
    return {
        "boxes": corners.reshape(-1, 4).astype(np.float32),
        "scores": scores.astype(np.float32),
        "labels": labels,
    }


def write(form: str, output: Path, found: list[tuple[SourceFrame, Prediction]]) -> None:
    names = OutputNames(output, [frame.source for frame, _ in found])
    with Writers((form,), names, found[0][1].task, NAMES) as writers:
        for frame, prediction in found:
            writers.add(frame, prediction)


def confirm(root: Path) -> None:
    """What Label Studio does when a person submits predictions as they are."""
    for file in root.rglob("labelstudio.json"):
        tasks = json.loads(file.read_text())
        for number, task in enumerate(tasks, start=1):
            results = task.pop("predictions")[0]["result"]
            task.update(id=number, annotations=[{"id": number, "result": results}], predictions=[])
        file.write_text(json.dumps(tasks))


def losses(records: Any) -> list[str]:
    """What was told, without where pictures were found."""
    return [str(note) for note in records.notes if note.kind.severity != "info"]


@pytest.mark.parametrize("form", LABEL_FORMATS)
def test_boxes_come_back(form: str, tmp_path: Path) -> None:
    found = predictions(tmp_path, "detection")
    write(form, tmp_path / "labels", found)
    confirm(tmp_path)
    data = detect_format(tmp_path, "detection")
    assert data.format.replace("_", "") == form
    records: Any = data.read("all")
    assert len(records) == 3 and losses(records) == []
    place_of = {path: index for index, path in enumerate(records.image_paths)}
    for frame, prediction in found:
        own = records.boxes_of(place_of[frame.source.name])
        assert prediction.boxes is not None
        np.testing.assert_array_equal(records.boxes[own], prediction.boxes)
        assert [records.class_names[label] for label in records.labels[own]] == prediction.names


@pytest.mark.parametrize("form", LABEL_FORMATS)
def test_pixels_come_back(form: str, tmp_path: Path) -> None:
    found = predictions(tmp_path, "segmentation")
    write(form, tmp_path / "labels", found)
    confirm(tmp_path)
    data = detect_format(tmp_path, "segmentation")
    assert data.format.replace("_", "") == f"{form}masks"
    records: Any = data.read("all")
    assert sorted(records.class_names) == ["background", "cat", "owl & <co>"] and losses(records) == []
    own = np.array([NAMES.index(name) for name in records.class_names])
    place_of = {path: index for index, path in enumerate(records.image_paths)}
    for frame, prediction in found:
        mask = records.lookup[read_mask(records.mask_paths[place_of[frame.source.name]])]
        np.testing.assert_array_equal(own[mask], prediction.label_map)


def test_predictions_that_nobody_confirmed_are_no_labels(tmp_path: Path) -> None:
    found = predictions(tmp_path, "detection")
    write("labelstudio", tmp_path / "labels", found)
    with pytest.raises(InputError, match=r"labelstudio.json has predictions that nobody has confirmed: imp"):
        detect_format(tmp_path).read("all")
    file = tmp_path / "labels" / "labelstudio.json"
    tasks = json.loads(file.read_text())
    (prediction,) = tasks[0]["predictions"]
    tasks[0]["annotations"] = [{"result": prediction["result"]}]
    file.write_text(json.dumps(tasks))
    records: Any = detect_format(tmp_path).read("all")
    assert len(records) == 1 and len(records.boxes) == 9
    (line,) = losses(records)
    assert line.startswith("2 tasks have predictions that nobody has confirmed, and are left out (first: ")


def test_scores_are_kept_for_the_tools_that_show_them(tmp_path: Path) -> None:
    found = predictions(tmp_path, "detection")
    write("labelstudio", tmp_path / "labels", found)
    write("labelme", tmp_path / "labels", found)
    expected = found[0][1].scores
    (prediction,) = json.loads((tmp_path / "labels" / "labelstudio.json").read_text())[0]["predictions"]
    assert np.array_equal(np.float32([r["score"] for r in prediction["result"]]), expected)
    shapes = json.loads((tmp_path / "labels" / "labelme" / "1.json").read_text())["shapes"]
    assert np.array_equal(np.float32([shape["score"] for shape in shapes]), expected)


def test_tools_find_the_pictures_and_the_classes(tmp_path: Path) -> None:
    found = predictions(tmp_path / "my photos", "segmentation")
    for form in LABEL_FORMATS:
        write(form, tmp_path / "out", found)
    file = tmp_path / "out" / "labelme" / "y_1.json"
    content = json.loads(file.read_text())
    assert (file.parent / content["imagePath"]).resolve() == (tmp_path / "my photos" / "y" / "1.jpg")
    assert (content["imageHeight"], content["imageWidth"]) == SIZES["y/1.jpg"]
    tasks = json.loads((tmp_path / "out" / "labelstudio.json").read_text())
    assert tasks[2]["data"]["image"] == "/data/local-files/?d=my%20photos/y/none%20at%20all.png"
    text = (tmp_path / "out" / "labelstudio_labels.txt").read_text()
    assert '<PolygonLabels name="label" toName="image">' in text and "owl &amp; &lt;co&gt;" in text
    assert '<image id="1" name="y/1.jpg" width="57" height="40">' in (tmp_path / "out/cvat.xml").read_text()
    labels = json.loads((tmp_path / "out" / "cvat_labels.json").read_text())
    assert labels == [{"name": "cat", "attributes": []}, {"name": "owl & <co>", "attributes": []}]


@pytest.mark.parametrize(
    "source",
    [
        Source("video", "clip.mp4"),
        Source("stream", "0"),
        Source("image", "http://a/b.jpg"),
        Source("image", "stdin", b"x"),
    ],
)
def test_what_is_no_picture_file_is_refused(source: Source) -> None:
    check_pictures(("images", "coco"), [source])
    with pytest.raises(InputError, match="is no picture file, and cvat needs those: save its frames"):
        check_pictures(("images", "cvat"), [Source("image", "a.jpg"), source])
    with pytest.raises(InputError, match="can't hold what a model for classification says"):
        check_task(("labelme",), "classification")
