"""Covers deploy/rank/looks.py, deploy/rank/results.py.

The command ``rank``: from a model and pictures to a list of those to label first.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pocketvision.core.resize import Tiling
from pocketvision.datasets import detect_format, read_image
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.rank.doubt import doubts
from pocketvision.deploy.rank.looks import look_at_pictures
from pocketvision.models import Detector
from pocketvision.runs.ready_model import load_model
from pocketvision.tools.predict import main as predict
from pocketvision.tools.rank import main


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, of which two show nearly the same, and a broken one."""
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for number in range(5):
        cells = generator.integers(20, 236, (7, 9, 3), dtype=np.uint8)
        picture = PillowImage.fromarray(cells).resize((90, 70), PillowImage.Resampling.NEAREST)
        picture.save(root / f"{number}.png")
    picture.save(root / "4 again.jpg", quality=95)
    (root / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return root


def test_the_list_is_in_order_without_near_duplicates(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "next"
    assert main([str(weights), str(photos), "--output", str(output), "--batch", "4"]) == 0
    said = capsys.readouterr()
    assert "6 unlabeled pictures, 1 failed: the 5 to label first are in order" in said.out
    assert "left out, as one of these or a labeled one shows nearly the same: 1" in said.out
    assert f"skipped: {photos / 'broken.jpg'}" in said.err
    with (output / "ranked.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == (output / "ranked.txt").read_text().splitlines()
    names = {Path(row["image"]).name for row in rows}
    assert len(names) == len(rows) == 5 and {"0.png", "1.png", "2.png", "3.png"} < names
    assert float(rows[0]["doubt"]) == max(float(row["doubt"]) for row in rows if row["newness"] == "1.0000")
    with PillowImage.open(output / "ranked.jpg") as sheet:
        assert sheet.width > 4 * 90 and sheet.height > 2 * 70
    assert main([str(weights), str(photos), "--output", str(output), "--count", "2"]) == 0
    assert len((output / "ranked_2.txt").read_text().splitlines()) == 2
    assert len((output / "ranked.txt").read_text().splitlines()) == 5, "nothing is written over"


def test_looks_do_not_depend_on_the_batch(weights: Path, photos: Path) -> None:
    detector = load_model(weights)
    assert isinstance(detector, Detector)
    sources = [Source("image", str(photos / f"{number}.png")) for number in range(5)]
    device = torch.device("cpu")
    (one, failures), (many, _) = (look_at_pictures(detector, sources, device, size) for size in (1, 3))
    assert one.sources == sources and not failures
    np.testing.assert_allclose(one.doubts, many.doubts, rtol=1e-3)
    np.testing.assert_allclose(one.features, many.features, rtol=1e-3, atol=1e-4)
    pixels = np.stack([detector.resize.apply(read_image(source.name)) for source in sources])
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features = [values.mean(dim=(2, 3)) for values in detector.features(images).values()]
        expected = doubts(detector, detector(images), images).numpy()
    np.testing.assert_allclose(many.features, torch.cat(features, dim=1).numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(many.doubts, expected, rtol=1e-3)


def test_a_model_of_tiles_sees_tiles(weights: Path, photos: Path) -> None:
    detector = load_model(weights)
    assert isinstance(detector, Detector)
    whole, picture = detector.resize, read_image(str(photos / "0.png"))
    tiles = [picture[:64, :64], picture[:64, 26:], picture[6:, :64], picture[6:, 26:]]
    images = torch.from_numpy(np.stack([whole.apply(tile) for tile in tiles]).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        expected = doubts(detector, detector(images), images).sum(dim=0).numpy()
        maps = detector.features(images).values()
    features = torch.cat([values.mean(dim=(0, 2, 3)) for values in maps]).numpy()
    detector.resize = replace(whole, tiling=Tiling((64, 64)))
    source = Source("image", str(photos / "0.png"))
    looks, _ = look_at_pictures(detector, [source, source], torch.device("cpu"), 3)
    np.testing.assert_allclose(looks.doubts, [expected] * 2, rtol=1e-3)
    np.testing.assert_allclose(looks.features, [features] * 2, rtol=1e-3, atol=1e-4)


def test_labeled_pictures_and_what_is_like_them_are_left_out(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labeled = tmp_path / "labeled"
    labeled.mkdir()
    (labeled / "a.jpg").write_bytes((photos / "4 again.jpg").read_bytes())
    (labeled / "b.png").hardlink_to(photos / "0.png")
    output = tmp_path / "next"
    assert main([str(weights), str(photos), "--labeled", str(labeled), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "6 unlabeled pictures, 1 failed: the 3 to label first are in order" in said
    assert "left out, as one of these or a labeled one shows nearly the same: 3" in said
    with (output / "ranked.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(Path(row["image"]).name for row in rows) == ["1.png", "2.png", "3.png"]
    assert all(float(row["newness"]) < 1 for row in rows)
    same = [str(photos / "1.png"), "--labeled", str(photos), "--output", str(output)]
    assert main([str(weights), *same]) == 1
    assert "None of the 1 pictures is unlabeled and can be read: give others." in capsys.readouterr().err


def test_what_is_ranked_gets_labels_and_is_a_data_set(weights: Path, photos: Path, tmp_path: Path) -> None:
    """The commands of docs/guides/label_loop.md."""
    assert main([str(weights), str(photos), "--count", "3", "--output", str(tmp_path / "next")]) == 0
    data = tmp_path / "data"
    data.mkdir()
    for name in (tmp_path / "next" / "ranked.txt").read_text().splitlines():
        shutil.copy(name, data)
    arguments = ["--threshold", "0.6", "--format", "labelme", "--output", str(data / "labels")]
    assert predict([str(weights), str(data), *arguments]) == 0
    records = detect_format(data, "detection").read("all")
    assert sorted(Path(path).name for path in records.image_paths) == sorted(p.name for p in data.glob("*.*"))
    assert len(records.boxes) and all(note.kind.severity == "info" for note in records.notes)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{weights}", "nowhere"], "There is no image, video or folder nowhere"),
        (["{weights}", "{photos}", "--count", "0"], "--count is 0: give a number from 1"),
        (["{weights}", "{photos}/broken.jpg"], "None of 1 pictures could be read"),
        (["{weights}", "{clip}"], "clip.mp4 is no picture file, and rank needs those"),
        (["{weights}", "{photos}", "--output", "{weights}"], "is a file: give a folder as --output"),
        (["no/run", "{photos}"], "no/run"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, weights: Path, photos: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    clip = weights.with_name("clip.mp4")
    clip.write_bytes(b"no video")
    assert main([argument.format(weights=weights, photos=photos, clip=clip) for argument in arguments]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in error and error.startswith("error: ")
    assert not Path("out").exists()
