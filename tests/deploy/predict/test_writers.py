"""Covers deploy/predict/output_names.py, deploy/prediction_formats.py.

What is written says what was predicted, and no file ever takes the place of a source.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from pycocotools.coco import COCO

from pocketvision.core.errors import InputError
from pocketvision.datasets.images.read import read_mask
from pocketvision.deploy.predict import video as video_module
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.output_names import OutputNames
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.writers import Writers
from pocketvision.deploy.prediction_formats import PREDICTION_FORMATS, check_task, parse_formats

NAMES = ("cat", None, "dog")
BOXES = np.array([[10, 20, 50, 60], [0, 0, 80, 30]], np.float32)
SCORES = np.array([0.75, 0.5], np.float32)
IMAGE = np.full((60, 80, 3), 90, np.uint8)


def detection(frame: SourceFrame, count: int = 2) -> Prediction:
    return Prediction(
        "detection", frame.image, NAMES, frame.source.name, frame.number,
        boxes=BOXES[:count], scores=SCORES[:count], labels=np.array([2, 0])[:count],
    )  # fmt: skip


def segmentation(frame: SourceFrame) -> Prediction:
    label_map = np.repeat(np.array([0, 2, 2, 0], np.uint8), 15)[:, None].repeat(80, axis=1)
    return Prediction("segmentation", frame.image, NAMES, frame.source.name, label_map=label_map)


@pytest.fixture
def frames() -> list[SourceFrame]:
    """Two images of the same name, and a video of three frames."""
    images = [SourceFrame(Source("image", f"{folder}/1.jpg"), IMAGE) for folder in ("x", "y")]
    return images + [SourceFrame(Source("video", "z/1.avi"), IMAGE, index, 5.0) for index in range(3)]


def write(
    formats: tuple[str, ...],
    output: Path,
    predictions: list[tuple[SourceFrame, Prediction]],
    task: str = "detection",
) -> None:
    names = OutputNames(output, [frame.source for frame, _ in predictions if not frame.number])
    with Writers(formats, names, task, NAMES, output / "all.json") as writers:
        for frame, prediction in predictions:
            writers.add(frame, prediction)


def test_pictures_and_videos(frames: list[SourceFrame], tmp_path: Path) -> None:
    write(("images",), tmp_path, [(frame, detection(frame)) for frame in frames])
    assert {path.name for path in tmp_path.iterdir()} == {"1.jpg", "y_1.jpg", "z_1.mp4", "all.json"}
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "y_1.jpg")), cv2.COLOR_BGR2RGB)
    assert np.abs(picture.astype(int) - detection(frames[0]).draw()).mean() < 12
    capture = cv2.VideoCapture(str(tmp_path / "z_1.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 5 and capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert capture.read()[1].shape == IMAGE.shape
    capture.release()
    rows = json.loads((tmp_path / "all.json").read_text())
    assert rows == [detection(frame).to_dict() for frame in frames]
    assert [row.get("frame") for row in rows] == [None, None, 0, 1, 2]


def test_coco_is_read_by_pycocotools(frames: list[SourceFrame], tmp_path: Path) -> None:
    write(("coco",), tmp_path, [(frame, detection(frame, i % 3)) for i, frame in enumerate(frames)])
    coco = COCO(str(tmp_path / "predictions.json"))
    names = [image["file_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert names == ["x/1.jpg", "y/1.jpg", "z_1_000000.jpg", "z_1_000001.jpg", "z_1_000002.jpg"]
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {1: "cat", 3: "dog"}
    assert [len(coco.getAnnIds(imgIds=[i])) for i in coco.getImgIds()] == [0, 1, 2, 0, 1]
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[3]))
    assert first["bbox"] == [10, 20, 40, 40] and first["category_id"] == 3 and first["score"] == 0.75
    assert second["bbox"] == [0, 0, 80, 30] and second["category_id"] == 1 and second["area"] == 2400
    again = coco.loadRes(coco.dataset["annotations"])
    assert len(again.getAnnIds()) == 4


def test_yolo(frames: list[SourceFrame], tmp_path: Path) -> None:
    write(("yolo",), tmp_path, [(frames[0], detection(frames[0])), (frames[1], detection(frames[1], 0))])
    rows = np.loadtxt(tmp_path / "labels" / "1.txt")
    np.testing.assert_allclose(rows[:, 0], [2, 0])
    centers, sides = rows[:, 1:3] * [80, 60], rows[:, 3:5] * [80, 60]
    np.testing.assert_allclose(np.hstack((centers - sides / 2, centers + sides / 2)), BOXES, atol=1e-3)
    np.testing.assert_allclose(rows[:, 5], SCORES)
    assert (tmp_path / "labels" / "y_1.txt").read_text() == "", "an image without boxes"
    assert (tmp_path / "classes.txt").read_text().splitlines() == ["cat", "1", "dog"]


def test_csv(frames: list[SourceFrame], tmp_path: Path) -> None:
    write(("csv",), tmp_path, [(frames[i], detection(frames[i])) for i in (0, 2)])
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["", "", "0", "0"] and rows[3]["image"] == "z/1.avi"
    assert [float(rows[0][key]) for key in ("x1", "y1", "x2", "y2", "score")] == [10, 20, 50, 60, 0.75]
    assert rows[0]["name"] == "dog" and rows[0]["label"] == "2"
    write(("csv",), tmp_path / "s", [(frames[0], segmentation(frames[0]))], "segmentation")
    with (tmp_path / "s" / "predictions.csv").open(newline="") as file:
        shares = {row["name"]: float(row["share"]) for row in csv.DictReader(file)}
    assert shares == {"cat": 0.5, "dog": 0.5}


def test_masks_hold_class_indices_and_show_colors(frames: list[SourceFrame], tmp_path: Path) -> None:
    prediction = segmentation(frames[0])
    write(("images", "masks"), tmp_path, [(frames[0], prediction)], "segmentation")
    file = tmp_path / "masks" / "1.png"
    np.testing.assert_array_equal(read_mask(str(file)), prediction.label_map)
    colors = np.array(PillowImage.open(file).convert("RGB"))
    assert len(np.unique(colors.reshape(-1, 3), axis=0)) == 2


def test_sources_are_never_overwritten(tmp_path: Path) -> None:
    sources = [Source("image", str(tmp_path / name)) for name in ("a.jpg", "b.png")]
    for source in sources:
        PillowImage.fromarray(IMAGE).save(source.name)
    before = [Path(source.name).read_bytes() for source in sources]
    write(("images",), tmp_path, [(SourceFrame(s, IMAGE), detection(SourceFrame(s, IMAGE))) for s in sources])
    assert [Path(source.name).read_bytes() for source in sources] == before
    assert (tmp_path / "a_predicted.jpg").exists() and (tmp_path / "b_predicted.png").exists()


def test_names_are_unique_for_any_file_system() -> None:
    paths = ("a/1.jpg", "a/1.png", "b/A_1.jpg", "c/1.jpg", "C/1.jpg")
    names = OutputNames(Path("out"), [Source("image", path) for path in paths])
    stems = [stem.casefold() for stem in names.stems.values()]
    assert len(set(stems)) == len(paths) and stems[0] == "1"


def test_older_results_and_links_are_never_written_over(frames: list[SourceFrame], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("mine")
    output = tmp_path / "out"
    (output / "labels").mkdir(parents=True)
    (output / "labels" / "1.txt").symlink_to(elsewhere)
    (output / "classes.txt").symlink_to(tmp_path / "nowhere")
    formats, found = ("images", "csv", "coco", "yolo"), [(frames[i], detection(frames[i])) for i in (0, 2)]
    write(formats, output, found)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert len(before) == 9, sorted(before)
    (output / "all.json").unlink()
    write(formats, output, [(frame, detection(frame, 0)) for frame, _ in found])
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert {path for path in before if before[path] != after.get(path)} == {output / "all.json"}
    assert (output / "1_2.jpg").exists() and (output / "predictions_2.csv").exists()
    assert elsewhere.read_text() == "mine" and not (tmp_path / "nowhere").exists()


def test_another_container_takes_no_file_either(
    frames: list[SourceFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.avi").write_bytes(b"mine")
    monkeypatch.setattr(video_module, "_CODECS", ((".mp4", "zzzz"), (".avi", "MJPG")))
    write(("images",), tmp_path, [(frames[2], detection(frames[2]))])
    assert (tmp_path / "1.avi").read_bytes() == b"mine" and (tmp_path / "1_2.avi").exists()


def test_all_results_and_those_for_coco_have_files_of_their_own(
    frames: list[SourceFrame], tmp_path: Path
) -> None:
    file = tmp_path / "predictions.json"
    names = OutputNames(tmp_path, [frames[0].source], file)
    with Writers(("coco",), names, "detection", NAMES, file) as writers:
        writers.add(frames[0], detection(frames[0]))
    assert isinstance(json.loads(file.read_text()), list)
    assert json.loads((tmp_path / "predictions_all.json").read_text())["categories"]


def test_all_results_on_standard_output(
    frames: list[SourceFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Writers((), OutputNames(tmp_path, []), "detection", NAMES, Path("-")) as writers:
        writers.add(frames[0], detection(frames[0]))
    assert json.loads(capsys.readouterr().out)[0]["image"] == "x/1.jpg"


def test_an_error_leaves_no_unfinished_file(frames: list[SourceFrame], tmp_path: Path) -> None:
    names = OutputNames(tmp_path, [frames[2].source])
    with (
        pytest.raises(InputError, match="stop"),
        Writers(("images", "csv", "coco"), names, "detection", NAMES, tmp_path / "all.json") as writers,
    ):
        writers.add(frames[2], detection(frames[2]))
        raise InputError("stop")
    assert not list(tmp_path.iterdir())


def test_another_container_where_there_is_no_mp4(
    frames: list[SourceFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(video_module, "_CODECS", ((".mp4", "zzzz"), (".avi", "MJPG")))
    write(("images",), tmp_path, [(frames[2], detection(frames[2]))])
    assert (tmp_path / "1.avi").stat().st_size > 0 and not (tmp_path / "1.mp4").exists()
    assert f"can write no mp4 here: writing {tmp_path / '1.avi'}" in capsys.readouterr().out
    monkeypatch.setattr(video_module, "_CODECS", ((".mp4", "zzzz"),))
    with pytest.raises(InputError, match="can write no video"):
        write(("images",), tmp_path / "none", [(frames[2], detection(frames[2]))])


def test_formats() -> None:
    assert parse_formats("images, coco,images") == ("images", "coco")
    for text in ("yolov5", "", "images;coco"):
        with pytest.raises(InputError, match="There is no format"):
            parse_formats(text)
    with pytest.raises(
        InputError, match="masks can't hold what a model for detection says: choose from images"
    ):
        check_task(("images", "masks"), "detection")
    assert all(tasks for tasks in PREDICTION_FORMATS.values())
