"""The predictor: any backend, any kind of image, the same answer as the model's own ``predict``."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Tiling
from pocketvision.deploy.predict import predictor as module
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.predict.video import VideoFile
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import Detector, Segmenter, VisionModel

SIZES = [(90, 70), (40, 200), (64, 80), (133, 151)]
CORNERS = [(0, 0), (80, 0), (0, 64), (80, 64)]
Models = dict[str, VisionModel]
Pictures = list[np.ndarray]


@pytest.fixture(scope="module")
def pictures(images: Tensor) -> Pictures:
    arrays = images.permute(0, 2, 3, 1).numpy()
    return [cv2.resize(array, size[::-1]) for array, size in zip(arrays, SIZES, strict=True)]


def inputs(model: VisionModel, picture: np.ndarray) -> Tensor:
    return torch.from_numpy(model.resize.apply(picture)).permute(2, 0, 1)[None]


def parting(model: Detector, pictures: Pictures) -> float:
    """A threshold that parts the scores, in the widest gap of their middle half."""
    scores = (
        torch.cat([model.predict(inputs(model, picture)).scores[0] for picture in pictures]).sort().values
    )
    middle = scores[len(scores) // 4 : -len(scores) // 4]
    place = int(middle.diff().argmax())
    return float(middle[place : place + 2].mean())


def assert_as_model(
    prediction: Prediction, model: VisionModel, picture: np.ndarray, threshold: float
) -> None:
    """The prediction is what the model itself says, step by step."""
    size = picture.shape[:2]
    assert prediction.size == size and prediction.image.shape == picture.shape
    if isinstance(model, Detector):
        (expected,) = model.restore(model.predict(inputs(model, picture)), [size])
        keep = expected.scores > threshold
        np.testing.assert_allclose(prediction.scores, expected.scores[keep], atol=1e-4)
        np.testing.assert_allclose(prediction.boxes, expected.boxes[keep], atol=0.05)
        np.testing.assert_array_equal(prediction.labels, expected.labels[keep])
    elif isinstance(model, Segmenter):
        (label_map,) = model.predict(inputs(model, picture), [size])
        assert (prediction.label_map == label_map.numpy()).mean() > 0.999
    else:
        best = model.predict(inputs(model, picture))[0].topk(3)  # of the three that have names
        np.testing.assert_allclose(prediction.scores, best.values, atol=1e-4)
        np.testing.assert_array_equal(prediction.labels, best.indices)


@pytest.mark.parametrize(
    ("task", "format", "options"),
    [
        ("detection", None, {}),
        ("detection", "openvino", {"nms": True}),
        ("segmentation", None, {}),
        ("segmentation", "onnx", {}),
        ("classification", None, {}),
        ("classification", "pt2", {}),
    ],
)
def test_every_backend_says_what_the_model_says(
    task: str, format: str | None, options: dict[str, object], models: Models, pictures: Pictures,
    exported: Callable[..., Path],
) -> None:  # fmt: skip
    model = models[task]
    threshold = parting(model, pictures) if isinstance(model, Detector) else 0.5
    for batch_size in (1, 3):
        if format is None:
            predictor = Predictor(TorchRuntime(model), threshold, batch_size)
        else:
            artifact = exported(task, format, **options)
            predictor = Predictor.load(artifact, threshold=threshold, batch_size=batch_size)
        predictions = predictor.predict(pictures)
        assert len(predictions) == len(pictures)
        for prediction, picture in zip(predictions, pictures, strict=True):
            assert_as_model(prediction, model, picture, threshold)


def test_an_exported_file_needs_no_lightning(exported: Callable[..., Path]) -> None:
    code = (
        "import sys, pocketvision; pocketvision.Predictor.load(sys.argv[1]); "
        "sys.exit('lightning' in sys.modules)"
    )
    file = exported("segmentation", "onnx")
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=120)


def test_paths_arrays_and_pillow_images_are_alike(models: Models, pictures: Pictures, tmp_path: Path) -> None:
    predictor = Predictor(TorchRuntime(models["detection"]), 0.2)
    PillowImage.fromarray(pictures[0]).save(tmp_path / "a.png")
    found = [predictor(x) for x in (pictures[0], tmp_path / "a.png", PillowImage.fromarray(pictures[0]))]
    assert found[1].path == str(tmp_path / "a.png") and found[0].path is None
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].boxes, other.boxes)
        np.testing.assert_array_equal(found[0].scores, other.scores)


def test_turned_photos_are_seen_upright(models: Models, pictures: Pictures, tmp_path: Path) -> None:
    """EXIF says that the stored picture is to be turned by 90 degrees to the right."""
    predictor = Predictor(TorchRuntime(models["classification"]))
    stored = PillowImage.fromarray(np.ascontiguousarray(np.rot90(pictures[0])))
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "turned.png", exif=exif)
    for image in (tmp_path / "turned.png", PillowImage.open(tmp_path / "turned.png")):
        np.testing.assert_array_equal(predictor(image).image, pictures[0])


def test_pillow_images_of_sixteen_bits_are_scaled_as_files_are(
    models: Models, pictures: Pictures, tmp_path: Path
) -> None:
    """Pillow itself would clip them: all white."""
    predictor = Predictor(TorchRuntime(models["classification"]))
    gray = pictures[0][..., 0]
    PillowImage.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for image in (tmp_path / "deep.png", PillowImage.open(tmp_path / "deep.png")):
        seen = predictor(image).image
        assert np.abs(seen.astype(int) - gray[..., None]).max() <= 1, image


def test_predictions_draw_save_and_become_plain_values(
    models: Models, pictures: Pictures, tmp_path: Path
) -> None:
    source = tmp_path / "source.png"
    PillowImage.fromarray(pictures[3]).save(source)
    for task, model in models.items():
        prediction = Predictor(TorchRuntime(model), 0.2)(source)
        drawn = prediction.draw()
        assert drawn.shape == pictures[3].shape and (drawn != pictures[3]).any()
        np.testing.assert_array_equal(prediction.image, pictures[3], "drawing works on a copy")
        prediction.save(tmp_path / f"{task}.png")
        np.testing.assert_array_equal(np.array(PillowImage.open(tmp_path / f"{task}.png")), drawn)
        facts = json.loads(json.dumps(prediction.to_dict()))
        assert facts["image"] == str(source) and facts["size"] == [133, 151] and facts["task"] == task
        rows = facts["detections" if task == "detection" else "classes"]
        assert [row["name"] for row in rows] == prediction.names
        assert all(model.class_names[row["label"]] == row["name"] for row in rows)
        if task == "segmentation":
            assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-5)
    for name, sentence in (("source.png", "is the image itself"), ("a.bmp", "is no name for a picture")):
        with pytest.raises(InputError, match=sentence):
            prediction.save(tmp_path / name)


def test_the_frames_of_a_video_come_one_by_one(models: Models, pictures: Pictures, tmp_path: Path) -> None:
    with VideoFile(tmp_path, "clip", 10.0, (48, 72)) as video:
        for index in range(5):
            video.add(np.full((48, 72, 3), 40 * index, np.uint8))
    predictor = Predictor(TorchRuntime(models["detection"]), 0.0, batch_size=2)
    frames = predictor.video(video.path)
    first = next(frames)
    assert (first.frame, first.path, first.size) == (0, str(video.path), (48, 72))
    rest = list(frames)
    assert [found.frame for found in rest] == [1, 2, 3, 4] and abs(int(rest[-1].image.mean()) - 160) < 8
    alone = predictor(rest[-1].image)
    assert alone.boxes is not None and rest[-1].boxes is not None
    np.testing.assert_allclose(alone.boxes, rest[-1].boxes, atol=1e-3)
    assert len(list(predictor.video(str(video.path), max_frames=3))) == 3
    PillowImage.fromarray(pictures[3]).save(tmp_path / "a.png")
    for name in (tmp_path / "a.png", tmp_path, "-"):
        with pytest.raises(InputError, match=r"is no video, address or number of a camera"):
            next(predictor.video(name))
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 400)
    with pytest.raises(InputError, match="can't be opened"):
        next(predictor.video(tmp_path / "broken.mp4"))


def test_a_notebook_shows_the_picture_below_its_cell(
    models: Models, pictures: Pictures, notebook: list[object]
) -> None:
    found = Predictor(TorchRuntime(models["detection"]), 0.2)(pictures[3])
    found.show()
    assert notebook == [found]


def test_background_stays_as_it_is() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    label_map = np.zeros((60, 80), np.uint8)
    label_map[20:50, 30:60] = 1
    drawn = Prediction("segmentation", image, ("background", "cat"), label_map=label_map).draw()
    assert (drawn[:15] == 200).all() and (drawn[20:50, 30:60] != 200).any(axis=2).all()


def test_tiles_find_what_a_small_input_misses(models: Models, pictures: Pictures) -> None:
    """A picture of four pictures in tiles of their size: what is found comes from each of them."""
    model = models["detection"]
    predictor = Predictor(TorchRuntime(model), 0.2)
    tiling = Tiling((64, 80), overlap=0.0, adds_whole=True)
    tiled = Predictor(TorchRuntime(model), 0.2, batch_size=4, tiling=tiling)
    parts = [cv2.resize(picture, (80, 64)) for picture in pictures]
    mosaic = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    views = [(predictor(part), corner) for part, corner in zip(parts, CORNERS, strict=True)]
    views.append((predictor(mosaic), (0, 0)))
    known = np.vstack([np.hstack((v.boxes + np.tile(corner, 2), v.scores[:, None])) for v, corner in views])
    found = tiled(mosaic)
    rows = np.hstack((found.boxes, found.scores[:, None]))
    # A kept box may take the better score of one that it suppressed.
    assert np.abs(rows[:, None, 4] - known[None, :, 4]).min(axis=1).max() < 1e-3
    origin = np.abs(rows[:, None, :4] - known[None, :, :4]).max(axis=2)
    assert origin.min(axis=1).max() < 0.01, "each was found in a tile or in the whole"
    counts = np.cumsum([len(view.scores) for view, _ in views])
    assert set(np.searchsorted(counts, origin.argmin(axis=1), side="right")) == {0, 1, 2, 3, 4}
    segmented = Predictor(TorchRuntime(models["segmentation"]), tiling=Tiling((64, 80), overlap=0.0))
    label_map = segmented(mosaic).label_map
    assert label_map is not None
    alone_map = Predictor(TorchRuntime(models["segmentation"]))(parts[3]).label_map
    np.testing.assert_array_equal(label_map[64:, 80:], alone_map)


def test_bad_values(models: Models, tmp_path: Path) -> None:
    runtime = TorchRuntime(models["classification"])
    for options, sentence in (
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"batch_size": 0}, "batch size is 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Predictor(runtime, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sees the image as a whole"):
        Predictor(runtime, tiling=Tiling((64, 64)))
    predictor = Predictor(runtime)
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="give uint8"):
            predictor(image)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there is no such file"):
        predictor(tmp_path / "no.jpg")


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (io.StringIO("pixels"), "The image is opened as text: open it as bytes, with mode 'rb'"),
        (None, "The image is a NoneType: give a path, bytes, a Pillow image or an array"),
        ([np.zeros((8, 8, 3), np.uint8)], "The image is a list: give a path, .*predict takes a list of them"),
        (3, "The image is a int"),
    ],
)
def test_what_is_no_image_is_said(image: Any, sentence: str, models: Models) -> None:
    with pytest.raises(ValueError, match=sentence):
        Predictor(TorchRuntime(models["detection"]))(image)


def test_a_name_that_no_file_has(models: Models) -> None:
    with pytest.raises(InputError, match="its name has an embedded null byte"):
        Predictor(TorchRuntime(models["detection"]))("a\0b.png")


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_many_tiles_are_told_once_before_they_are_seen(
    task: str, models: Models, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MANY_TILES", 3)
    predictor = Predictor(TorchRuntime(models[task]), tiling=Tiling((32, 32), 0.0))
    predictor(np.zeros((32, 96, 3), np.uint8))
    assert not caplog.messages
    for _ in range(2):
        predictor(np.zeros((64, 96, 3), np.uint8))
    (told,) = caplog.messages
    assert told.startswith("An image of 96x64 pixels has 6 tiles of 32x32, and each is a pass")
