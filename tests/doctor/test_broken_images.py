"""Covers doctor/checks/images.py, doctor/fixes/copy.py, doctor/fixes/images.py.

Every way in which image files can be wrong is found, and the cleaned copy trains.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionDataset, read_coco
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.doctor.check import Examination, Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed

Edit = Callable[[Path, Callable[[dict[str, Any]], None]], None]
COUNT = 20


def rotated(path: Path, orientation: int = 6) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, quality=95, exif=exif)


def break_images(root: Path, edit_json: Edit) -> None:
    """Image i of train is broken in the i-th way."""
    train = root / "train"
    (train / "0.jpg").write_text("<html>404 not found</html>")
    (train / "1.jpg").write_bytes((train / "1.jpg").read_bytes()[:-200])
    (train / "2.jpg").write_bytes(b"")
    rotated(train / "3.jpg")
    Image.open(train / "4.jpg").convert("CMYK").save(train / "4.jpg")
    depth = np.random.default_rng(0).integers(0, 1 << 16, (48, 64)).astype(np.uint16)
    Image.fromarray(depth).save(train / "5.png")
    (train / "5.jpg").unlink()
    Image.open(train / "6.jpg").convert("L").save(train / "6.jpg")
    Image.open(train / "7.jpg").save(train / "7.jpg", "PNG")
    (train / "8.jpg").unlink()
    save_as(train / "9.jpg", train / "not in the json.jpg")
    Image.open(train / "10.jpg").resize((32, 24)).save(train / "10.jpg")
    shutil.copy(train / "11.jpg", root / "val" / "11.jpg")
    shutil.copy(train / "12.jpg", train / "käse 12.jpg")
    (train / "12.jpg").unlink()
    Image.open(train / "13.jpg").convert("RGB").save(root / "val" / "20.jpg", quality=60)
    rotated(train / "14.jpg")

    def change(content: dict[str, Any]) -> None:
        rows = {row["file_name"]: row for row in content["images"]}
        rows["5.jpg"]["file_name"] = "5.png"
        rows["12.jpg"]["file_name"] = "käse 12.jpg"
        rows["14.jpg"].update(width=48, height=64)
        content["images"].append({**rows["15.jpg"], "file_name": "15b.jpg"})
        content["images"].append({**rows["16.jpg"], "id": 500})

    edit_json(root / "instances_train.json", change)

    def add(content: dict[str, Any]) -> None:
        content["images"].append({**content["images"][0], "id": 600, "file_name": "11.jpg"})

    edit_json(root / "instances_val.json", add)


def save_as(source: Path, target: Path) -> None:
    Image.open(source).rotate(180).save(target)


EXPECTED = (
    ("image_unreadable", "train/0.jpg", "begins like a web page"),
    ("image_truncated", "train/1.jpg", "its end is missing"),
    ("image_empty", "train/2.jpg", "zero bytes"),
    ("image_rotated", "train/3.jpg", "orientation 6"),
    ("image_cmyk", "train/4.jpg", "convert it to RGB"),
    ("image_16bit", "train/5.png", "16 bits"),
    ("image_grey", "train/6.jpg", "gray"),
    ("image_format", "train/7.jpg", "PNG file, not JPEG"),
    ("image_missing", "instances_train.json", "names 8.jpg"),
    ("image_unused", "train/not in the json.jpg", "no annotation"),
    ("size_differs", "instances_train.json", "states 64x48 (width x height) for 10.jpg"),
    ("same_name", "val/11.jpg", "11.jpg is in 2 folders"),
    ("path_characters", "train/käse 12.jpg", "spaces or characters"),
    ("copy_across_splits", "val/11.jpg", "are the same image"),
    ("near_copy_across_splits", "val/20.jpg", "13.jpg of train shows nearly the same"),
    ("image_turned", "train/3.jpg", "its boxes are turned too"),
    ("box_outside", "instances_train.json", "in an image of 48x64"),
    ("image_id_twice", "instances_train.json", "image id 16 twice (15.jpg and 15b.jpg)"),
    ("image_twice", "instances_train.json", "lists 16.jpg twice"),
)


@pytest.fixture
def broken(clean: Callable[..., Path], edit_json: Edit) -> Examination:
    root = clean("coco", COUNT)
    break_images(root, edit_json)
    return examine(detect_format(root), Plan())


def test_every_broken_image_is_found_once(broken: Examination) -> None:
    found = broken.report.findings
    for kind, file, text in EXPECTED:
        fitting = [finding for finding in found.kept.get(kind, []) if finding.file.endswith(file)]
        assert fitting, f"{kind} not found in {file}: {found.kept.get(kind)}"
        assert any(text in finding.sentence for finding in fitting), fitting
    # 3 and 14 are turned; nothing else is there twice.
    assert {kind: count for kind, count in found.counts.items() if count > 1} == {"image_rotated": 2}
    assert set(found.counts) == {kind for kind, _, _ in EXPECTED}


def test_the_cleaned_copy_is_read_without_a_word_and_is_right(broken: Examination, tmp_path: Path) -> None:
    root = broken.report.root
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    lines = write_fixed(broken, tmp_path / "out")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert any("Image is truncated (1): dropped" in line for line in lines)
    records = read_coco(tmp_path / "out", "train")
    # Of 20, 0, 1, 2 and 8 are dropped.
    assert len(records) == 16 and not records.notes
    samples = DetectionDataset(records, Resize((48, 64)))
    by_stem = {Path(path).stem: i for i, path in enumerate(records.image_paths)}
    for i, path in enumerate(records.image_paths):
        with Image.open(path) as image:
            assert image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1
            assert (image.height, image.width) == tuple(records.sizes[i])
        assert samples[i][0].shape == (3, 48, 64)
    # 10 was annotated at twice its size, 14 on the upright picture, 3 on the stored one, which is turned.
    assert records.boxes[records.boxes_of(by_stem["10"])].tolist() == [[2, 3, 12, 15], [15, 5, 30, 22]]
    assert tuple(records.sizes[by_stem["14"]]) == (64, 48) == tuple(records.sizes[by_stem["3"]])
    assert Path(records.image_paths[by_stem["7"]]).suffix == ".png"
    again = examine(detect_format(tmp_path / "out"), Plan())
    assert again.report.findings.num("error") == 0, again.report.findings.by_severity("error")


def test_full_finds_what_a_header_hides(clean: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketvision.doctor.check.MAX_GROUPED", 0)
    root = clean("image_folder")
    shutil.rmtree(root / "val")  # nothing is compared, so that only headers are read
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = root / "train" / "cat" / "0.png"
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(data))
    kinds = [
        dict(examine(detect_format(root), Plan(full=full)).report.findings.counts) for full in (False, True)
    ]
    assert "image_unreadable" not in kinds[0] and "image_truncated" not in kinds[0]
    assert kinds[1].keys() & {"image_unreadable", "image_truncated"}
