"""Covers doctor/check.py, doctor/checks/classes.py, doctor/checks/files.py, doctor/fixes/boxes.py,
doctor/fixes/outlines.py: every way in which boxes, classes and annotation files can be wrong is found; the
cleaned copy trains.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketvision.core.resize import Resize
from pocketvision.datasets import DetectionDataset, read_coco, read_voc
from pocketvision.datasets.formats.csv_boxes import read_csv_boxes
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.datasets.formats.yolo import read_yolo
from pocketvision.doctor.check import Examination, Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed

Edit = Callable[[Path, Callable[[dict[str, Any]], None]], None]
Expected = tuple[tuple[str, str, str], ...]
READERS = {"coco": read_coco, "voc": read_voc, "yolo": read_yolo, "csv": read_csv_boxes}


def look(root: Path) -> Examination:
    return examine(detect_format(root), Plan())


def check(found: Examination, expected: Expected) -> None:
    """Each kind is found, at a file and a place; and no other error is."""
    findings = found.report.findings
    for kind, file, where in expected:
        places = [(Path(finding.file).name, finding.where) for finding in findings.kept.get(kind, [])]
        assert any(file == name and where in place for name, place in places), f"{kind}: {places}"
        assert all(finding.sentence.startswith(finding.file) for finding in findings.kept[kind])
    assert set(findings.by_severity("error")) <= {kind for kind, _, _ in expected}


def check_fixed(found: Examination, output: Path, format_name: str) -> Any:
    """The cleaned copy has no errors, gives samples, and is read without notes; returns its records."""
    write_fixed(found, output)
    again = look(output)
    assert not again.report.findings.by_severity("error"), again.report.findings.in_order()[0]
    records = READERS[format_name](output, "train")
    assert not records.notes
    samples = DetectionDataset(records, Resize((48, 64)))
    assert all(samples[i][0].shape == (3, 48, 64) for i in range(len(samples)))
    return records


def test_coco(clean: Callable[..., Path], edit_json: Edit, tmp_path: Path) -> None:
    root = clean("coco", 8)

    def change(content: dict[str, Any]) -> None:
        rows = {row["id"]: row for row in content["annotations"]}
        rows[1]["bbox"] = [24, 30, -20, -24]
        rows[2]["bbox"] = [30, 10, 60, 34]
        rows[3]["bbox"] = [4, 6, 0, 24]
        rows[4]["bbox"] = [float("nan"), 10, 30, 34]
        rows[5]["bbox"] = ["four", 6, 20, 24]
        content["annotations"].append({**rows[7], "id": 100})
        rows[8]["bbox"] = [100, 10, 30, 34]
        rows[9]["category_id"] = 77
        rows[10]["image_id"] = 999
        rows[11]["category_id"] = 3
        rows[12]["area"] = float("nan")
        content["annotations"].append("nonsense")
        content["categories"] += [
            {"id": 3, "name": "Cat "},
            {"id": 0, "name": "owl"},
            {"id": 1, "name": "emu"},
        ]

    edit_json(root / "instances_train.json", change)
    found = look(root)
    file = "instances_train.json"
    check(
        found,
        (
            ("box_swapped", file, "annotation 1"),
            ("box_outside", file, "annotation 2"),
            ("box_without_area", file, "annotation 3"),
            ("box_not_finite", file, "annotation 4"),
            ("box_not_number", file, "annotation 5"),
            ("box_twice", file, "annotation 100"),
            ("box_away", file, "annotation 8"),
            ("class_unknown", file, "annotation 9"),
            ("box_without_image", file, "annotation 10"),
            ("annotation_incomplete", file, "annotation number 18"),
            ("class_variants", "coco", "cat"),
            ("class_zero", file, "category 0"),
            ("class_twice", file, "category 1"),
            ("class_unused", "coco", "owl"),
        ),
    )
    counts = found.report.findings.counts
    assert {kind: counts[kind] for kind in counts if kind.startswith("box_")} == {
        "box_swapped": 1, "box_outside": 1, "box_away": 1, "box_without_area": 1, "box_not_finite": 1,
        "box_not_number": 1, "box_twice": 1, "box_without_image": 1,
    }  # fmt: skip
    records = check_fixed(found, tmp_path / "out", "coco")
    assert records.class_names == ("owl", "cat", "dog")
    assert records.boxes[0].tolist() == [4, 6, 24, 30], "sorted"
    assert records.boxes[1].tolist() == [30, 10, 64, 44], "clipped"
    # 16 boxes: those of 3, 4, 5, 8, 9 and 10 are gone, and the copy.
    assert len(records.boxes) == 10 and set(records.labels.tolist()) == {1, 2}


def test_voc(
    clean: Callable[..., Path], voc_object: Callable[..., str], voc_xml: Callable[..., str], tmp_path: Path
) -> None:
    root = clean("voc", 8)
    xml = root / "Annotations"
    good = voc_object("dog", (5, 7, 24, 30))
    for stem, objects in {
        "im0": voc_object("dog", (24, 30, 5, 7)) + voc_object("dog", (5, 7, 90, 30)),
        "im1": voc_object("DOG", (5, 7, 24, 30)) + voc_object("dog", (5, "nan", 24, 30)),
        "im2": voc_object("dog", (5, "seven", 24, 30)) + voc_object("", (5, 7, 24, 30)),
        "im3": good + good,
        "im4": good + voc_object("dog", (30, 10, 29, 40)),
    }.items():
        (xml / f"{stem}.xml").write_text(voc_xml(objects))
    half = (xml / "im5.xml").read_text()
    (xml / "im5.xml").write_text(half[: len(half) // 2])
    (xml / "im6.xml").unlink()
    (root / "JPEGImages" / "im7.jpg").unlink()
    (root / "ImageSets" / "Main" / "val.txt").write_text("".join(f"im{i}\n" for i in range(8, 15)))
    found = look(root)
    check(
        found,
        (
            ("box_swapped", "im0.xml", "object 1 (dog)"),
            ("box_outside", "im0.xml", "object 2 (dog)"),
            ("class_variants", "voc", "dog"),
            ("box_not_finite", "im1.xml", "object 2"),
            ("box_not_number", "im2.xml", "object 1"),
            ("annotation_incomplete", "im2.xml", "object 2"),
            ("box_twice", "im3.xml", "object 2"),
            ("box_without_area", "im4.xml", "object 2"),
            ("annotation_broken", "im5.xml", "line"),
            ("annotation_missing", "train.txt", "im6"),
            ("image_missing", "im7.xml", "im7.jpg"),
            ("annotation_unused", "im15.xml", ""),
        ),
    )
    records = check_fixed(found, tmp_path / "out", "voc")
    assert records.class_names == ("cat", "dog")
    assert [Path(path).stem for path in records.image_paths] == ["im0", "im1", "im2", "im3", "im4"]
    assert records.boxes.tolist() == [
        [4, 6, 24, 30],
        [4, 6, 64, 30],
        [4, 6, 24, 30],
        [4, 6, 24, 30],
        [4, 6, 24, 30],
    ]
    assert len(records.boxes[records.boxes_of(2)]) == 0


def test_yolo(clean: Callable[..., Path], tmp_path: Path) -> None:
    root = clean("yolo", 8)
    labels = root / "labels" / "train"
    (labels / "0.txt").write_text("0 0.5 0.5 -0.2 -0.2\n1 0.9 0.5 0.4 0.2\n")
    (labels / "1.txt").write_text("9 0.5 0.5 0.2 0.2\n1 0.5 0.5 0 0.2\n")
    (labels / "2.txt").write_text("0 nan 0.5 0.2 0.2\n0 half 0.5 0.2 0.2\n0 0.5 0.5\n")
    (labels / "3.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n")
    (labels / "4.txt").write_text("")
    (labels / "5.txt").unlink()
    (labels / "6.txt").write_text("1 0.25 0.25 0.75 0.25 0.75 0.75\n")
    found = look(root)
    check(
        found,
        (
            ("box_swapped", "0.txt", "line 1"),
            ("box_outside", "0.txt", "line 2"),
            ("class_unknown", "1.txt", "line 1"),
            ("box_without_area", "1.txt", "line 2"),
            ("box_not_finite", "2.txt", "line 1"),
            ("box_not_number", "2.txt", "line 2"),
            ("box_not_number", "2.txt", "line 3"),
            ("box_twice", "3.txt", "line 2"),
        ),
    )
    records = check_fixed(found, tmp_path / "out", "yolo")
    assert len(records) == 8 and records.class_names == ("cat", "dog")
    names = [Path(path).stem for path in records.image_paths]
    assert [len(records.boxes[records.boxes_of(i)]) for i in map(names.index, "0123456")] == [
        2,
        0,
        0,
        1,
        0,
        0,
        1,
    ]
    assert records.boxes[records.boxes_of(names.index("6"))].tolist() == [[16, 12, 48, 36]]


def test_csv(clean: Callable[..., Path], tmp_path: Path) -> None:
    root = clean("csv", 8)
    lines = (root / "train.csv").read_text().splitlines()
    lines[1] = "0.jpg,24,30,4,6,cat"
    lines[2] = "0.jpg,30,10,,44,dog"
    lines[3] = "1.jpg,4,6,x,30,cat"
    lines[4] = "1.jpg,30,10,90,44,Dog"
    lines[5] = "gone.jpg,4,6,24,30,cat"
    lines[7] = "3.jpg,4,6,24,30,"
    lines += ["7.jpg,30,10,60,44,dog", ",1,2,3,4,dog", "7.jpg,inf,10,60,44,dog"]
    (root / "train.csv").write_text("\n".join(lines))
    found = look(root)
    check(
        found,
        (
            ("box_swapped", "train.csv", "line 2"),
            ("box_not_number", "train.csv", "line 3"),
            ("box_not_number", "train.csv", "line 4"),
            ("box_outside", "train.csv", "line 5"),
            ("image_missing", "train.csv", "gone.jpg"),
            ("class_unknown", "train.csv", "line 8"),
            ("box_twice", "train.csv", "line 18"),
            ("annotation_incomplete", "train.csv", "line 19"),
            ("box_not_finite", "train.csv", "line 20"),
            ("class_variants", "csv", "dog"),
        ),
    )
    records = check_fixed(found, tmp_path / "out", "csv")
    assert len(records) == 8 and records.class_names == ("cat", "dog")
    assert records.boxes[records.boxes_of(1)].tolist() == [[30, 10, 64, 44]]


@pytest.mark.parametrize("name", ["coco", "voc", "csv", "yolo"])
def test_another_convention_is_one_finding_a_file_and_is_converted(
    name: str, clean: Callable[..., Path], edit_json: Edit, tmp_path: Path
) -> None:
    root = clean(name, 6)
    right = READERS[name](root, "train").boxes.tolist()
    if name == "coco":

        def change(content: dict[str, Any]) -> None:
            for row in content["annotations"]:
                x, y, width, height = row["bbox"]
                row["bbox"] = [x, y, x + width, y + height]

        edit_json(root / "instances_train.json", change)
    elif name == "csv":
        text = (root / "train.csv").read_text()
        (root / "train.csv").write_text(
            text.replace("4,6,24,30", "4,6,20,24").replace("30,10,60,44", "30,10,30,34")
        )
    elif name == "voc":  # as x, y, width, height, counted from 0
        for file in (root / "Annotations").iterdir():
            text = file.read_text().replace("<xmin>5</xmin><ymin>7</ymin>", "<xmin>4</xmin><ymin>6</ymin>")
            text = text.replace("<xmax>24</xmax><ymax>30</ymax>", "<xmax>20</xmax><ymax>24</ymax>")
            text = text.replace("<xmin>31</xmin><ymin>11</ymin>", "<xmin>30</xmin><ymin>10</ymin>")
            file.write_text(text.replace("<xmax>60</xmax><ymax>44</ymax>", "<xmax>30</xmax><ymax>34</ymax>"))
    else:
        for file in (root / "labels" / "train").iterdir():
            file.write_text("0 14 18 20 24\n1 45 27 30 34\n")
    found = look(root)
    assert found.report.findings.by_severity("error") == ["box_convention"], found.report.findings.in_order()
    finding, *others = found.report.findings.kept["box_convention"]
    assert len(others) == (name == "voc"), "one a split"
    assert "lie inside their images only if" in finding.sentence
    records = check_fixed(found, tmp_path / "out", name)
    assert records.boxes.tolist() == right


def test_half_written_json_and_a_bare_list(clean: Callable[..., Path]) -> None:
    root = clean("coco", 4)
    text = (root / "instances_train.json").read_text()
    (root / "instances_train.json").write_text(text[: len(text) // 2])
    (root / "instances_val.json").write_text("[]")
    found = look(root).report.findings
    assert found.counts["annotation_broken"] == 2
    assert "half-written" in found.kept["annotation_broken"][0].sentence
    (root / "instances_val.json").write_text("[" * 100_000)
    assert look(root).report.findings.counts["annotation_broken"] == 2


def test_extreme_imbalance_and_classes_without_training(clean: Callable[..., Path], edit_json: Edit) -> None:
    root = clean("coco", 4)

    def change(content: dict[str, Any]) -> None:
        row = content["annotations"][0]
        more = [{**row, "id": 100 + i, "bbox": [i % 40, i // 40, 10.0, 10.0]} for i in range(700)]
        content["annotations"] = [*more, content["annotations"][1]]

    edit_json(root / "instances_train.json", change)

    def rename(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 3, "name": "emu"})
        content["annotations"][0]["category_id"] = 3

    edit_json(root / "instances_val.json", rename)
    found = look(root).report.findings
    assert "'cat' has 700 boxes in training, 'dog' only 1" in found.kept["class_imbalance"][0].sentence
    assert found.kept["class_not_trained"][0].where == "emu"
    assert json.dumps(look(root).report.as_json())
