"""Covers datasets/formats/labelme.py, datasets/formats/via.py, datasets/formats/label_studio.py,
datasets/formats/cvat.py, datasets/formats/yolo_masks.py, datasets/masks/outlined.py,
datasets/readers/one_file.py, datasets/formats/objects.py, datasets/readers/outlines.py.

The same boxes and polygons as each labeling tool writes them: all are read alike, for boxes and for masks.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format, read_mask
from pocketvision.doctor.check import Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed

HEIGHT, WIDTH = 40, 80
OBJECTS: dict[str, list[tuple[str, str, tuple[int, int, int, int]]]] = {
    "a.jpg": [("owl", "polygon", (8, 4, 40, 20)), ("cat", "box", (48, 8, 72, 36))],
    "b 1.png": [("cat", "polygon", (16, 10, 56, 30))],
    "c.png": [],
}
"""Polygons are rectangles too, so that their pixels are known."""
Shape = tuple[str, str, tuple[int, int, int, int]]


def corners(box: tuple[int, int, int, int]) -> list[list[int]]:
    left, top, right, bottom = box
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def labelme(root: Path) -> None:
    for name, objects in OBJECTS.items():
        shapes = [
            {"label": label, "points": corners(box), "shape_type": "polygon"}
            if kind == "polygon"
            else {"label": label, "points": [list(box[2:]), list(box[:2])], "shape_type": "rectangle"}
            for label, kind, box in objects
        ]
        content = {"version": "5", "shapes": shapes, "imagePath": f"..\\x\\{name}", "imageData": None,
                   "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (root / f"{Path(name).stem}.json").write_text(json.dumps(content))


def _via_region(shape: Shape) -> dict[str, Any]:
    label, kind, (left, top, right, bottom) = shape
    stated: dict[str, Any] = {
        "name": "rect",
        "x": left,
        "y": top,
        "width": right - left,
        "height": bottom - top,
    }
    if kind == "polygon":
        x, y = zip(*corners(shape[2]), strict=True)
        stated = {"name": "polygon", "all_points_x": x, "all_points_y": y}
    return {"shape_attributes": stated, "region_attributes": {"animal": label, "remark": ""}}


def via_json(root: Path) -> None:
    rows = {
        f"{name}900": {"filename": name, "size": 900, "regions": [_via_region(s) for s in objects]}
        for name, objects in OBJECTS.items()
    }
    (root / "via_project.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": rows}))


def via_csv(root: Path) -> None:
    with (root / "via_export.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["#filename", "file_size", "file_attributes", "region_count", "region_id",
                         "region_shape_attributes", "region_attributes"])  # fmt: skip
        for name, objects in OBJECTS.items():
            for i, shape in enumerate(objects):
                region = _via_region(shape)
                texts = [json.dumps(region[f"{part}_attributes"]) for part in ("shape", "region")]
                writer.writerow([name, 900, "{}", len(objects), i, *texts])
            if not objects:
                writer.writerow([name, 900, "{}", 0, 0, "{}", "{}"])


def label_studio(root: Path) -> None:
    tasks = []
    for i, (name, objects) in enumerate(OBJECTS.items(), start=1):
        results = []
        for label, kind, box in objects:
            left, top, right, bottom = (100 * v / s for v, s in zip(box, (WIDTH, HEIGHT) * 2, strict=True))
            value: dict[str, Any] = {
                "x": left,
                "y": top,
                "width": right - left,
                "height": bottom - top,
                "rotation": 0,
            }
            if kind == "polygon":
                points = [[left, top], [right, top], [right, bottom], [left, bottom]]
                value = {"points": points, "polygonlabels": [label]}
            else:
                value["rectanglelabels"] = [label]
            results.append({"from_name": "label", "type": kind, "value": value, "original_width": WIDTH})
        cancelled = {"was_cancelled": True, "result": [{"from_name": "x", "value": {"x": 0}}]}
        address = f"/data/upload/1/0123abcd-{name.replace(' ', '%20')}"
        tasks.append({"id": i, "data": {"image": address}, "annotations": [{"result": results}, cancelled]})
    (root / "project-1.json").write_text(json.dumps(tasks))


def cvat(root: Path) -> None:
    text = "<annotations><version>1.1</version>"
    for i, (name, objects) in enumerate(OBJECTS.items()):
        text += f'<image id="{i}" name="{name}" width="{WIDTH}" height="{HEIGHT}">'
        for label, kind, (left, top, right, bottom) in objects:
            points = f"{left},{top};{right},{top};{right},{bottom};{left},{bottom}"
            text += (
                f'<polygon label="{label}" points="{points}"/>'
                if kind == "polygon"
                else f'<box label="{label}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
            )
        text += "</image>"
    (root / "annotations.xml").write_text(f"{text}</annotations>")


def yolo(root: Path) -> None:
    (root / "classes.txt").write_text("cat\nowl\n")
    for name, objects in OBJECTS.items():
        lines = []
        for label, kind, box in objects:
            left, top, right, bottom = (v / s for v, s in zip(box, (WIDTH, HEIGHT) * 2, strict=True))
            numbers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            if kind == "polygon":
                numbers = [left, top, right, top, right, bottom, left, bottom]
            lines.append(" ".join(map(str, (["cat", "owl"].index(label), *numbers))))
        (root / f"{Path(name).stem}.txt").write_text("\n".join(lines))


TOOLS: dict[str, Callable[[Path], None]] = {
    "labelme": labelme, "via": via_json, "via csv": via_csv, "label_studio": label_studio, "cvat": cvat,
    "yolo": yolo,
}  # fmt: skip


@pytest.fixture(params=TOOLS)
def data(
    request: pytest.FixtureRequest, tmp_path: Path, write_image: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path]:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    root.mkdir()
    for name in OBJECTS:
        write_image(root / name, HEIGHT, WIDTH, len(name))
    TOOLS[request.param](root)
    return request.param.partition(" ")[0], root


def boxes_of(found: Any) -> dict[str, list[Any]]:
    (records,) = (found.read(split) for split in found.splits)
    assert records.class_names == ("cat", "owl")
    return {
        Path(path).name: sorted(
            (records.class_names[label], *box)
            for label, box in zip(
                records.labels[records.boxes_of(i)], records.boxes[records.boxes_of(i)].tolist(), strict=True
            )
        )
        for i, path in enumerate(records.image_paths)
    }


EXPECTED = {
    name: sorted((label, *map(float, box)) for label, _, box in objects) for name, objects in OBJECTS.items()
}


def test_boxes(data: tuple[str, Path], tmp_path: Path) -> None:
    form, root = data
    found = detect_format(root)
    assert (found.format, found.splits, found.arguments["divide"]) == (form, ("all",), "all")
    own = boxes_of(found)
    assert own.keys() == EXPECTED.keys()
    for name, rows in EXPECTED.items():
        assert [row[0] for row in own[name]] == [row[0] for row in rows]
        assert np.allclose([row[1:] for row in own[name]], [row[1:] for row in rows], atol=1e-4)
    examination = examine(found, Plan())
    assert examination.report.findings.num("error") == 0, examination.report.findings.in_order()
    write_fixed(examination, tmp_path / "copy")
    assert sum(map(len, boxes_of(detect_format(tmp_path / "copy")).values())) == 3


def test_masks(data: tuple[str, Path], tmp_path: Path) -> None:
    form, root = data
    found = detect_format(root, "segmentation")
    assert found.format == f"{form}_masks"
    records = found.read("all")
    assert records.class_names == ("background", "cat", "owl")
    for path, file in zip(records.image_paths, records.mask_paths, strict=True):
        expected = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        for label, _, (left, top, right, bottom) in OBJECTS[Path(path).name]:
            expected[top:bottom, left:right] = ["background", "cat", "owl"].index(label)
        assert np.array_equal(records.to_classes(read_mask(file), file), expected), path
    assert "1 object has no outline, and its box is filled" in " ".join(map(str, records.notes))
    assert examine(found, Plan()).report.findings.num("error") == 0


def test_one_broken_shape_is_an_error_and_points_are_left_out(tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.jpg", HEIGHT, WIDTH)
    good = {"label": "cat", "points": [[1, 2], [9, 8]], "shape_type": "rectangle"}
    for change, words in (
        ({"points": [[1, "x"], [9, 8]]}, "a.json, shape 2 has text or nothing where the numbers"),
        ({"label": None}, "a.json, shape 2 has no class"),
    ):
        content = {"imagePath": "a.jpg", "shapes": [good, {**good, **change}]}
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=words):
            detect_format(tmp_path).read("all")
    content["shapes"][1] = {**good, "shape_type": "point", "points": [[4, 4]]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    records: Any = detect_format(tmp_path).read("all")
    assert len(records.boxes) == 1
    assert str(records.notes[0]).startswith("1 object has no area, as points and lines, and is left out")
    (tmp_path / "b.json").write_text('{"shapes": 5, "imagePath": "a.jpg"}')
    with pytest.raises(InputError, match="no list 'shapes'"):
        detect_format(tmp_path).read("all")


def test_circles_and_turned_boxes(tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.jpg", HEIGHT, WIDTH)
    (tmp_path / "a.xml").write_text(
        f'<annotations><image name="a.jpg" width="{WIDTH}" height="{HEIGHT}" subset="Train">'
        '<box label="cat" xtl="30" ytl="15" xbr="50" ybr="25" rotation="90"/>'
        '<ellipse label="cat" cx="20" cy="20" rx="10" ry="5"/></image></annotations>'
    )
    found = detect_format(tmp_path)
    records: Any = found.read("train")
    assert np.allclose(records.boxes, [[35, 10, 45, 30], [10, 15, 30, 25]], atol=1e-4)
    (tmp_path / "a.xml").unlink()
    shapes = [{"label": "cat", "points": [[20, 20], [20, 28]], "shape_type": "circle"}]
    (tmp_path / "a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": shapes}))
    records = detect_format(tmp_path).read("all")
    assert np.allclose(records.boxes, [[12, 12, 28, 28]], atol=1e-4)
    turned = [{"label": "cat", "points": corners((35, 10, 45, 30)), "shape_type": "oriented_rectangle"}]
    (tmp_path / "a.json").write_text(json.dumps({"imagePath": "a.jpg", "shapes": turned}))
    records = detect_format(tmp_path).read("all")
    assert np.allclose(records.boxes, [[35, 10, 45, 30]], atol=1e-4)


def test_mask_files_go_before_polygons(tmp_path: Path, write_image: Any, write_mask: Any) -> None:
    for name in OBJECTS:
        write_image(tmp_path / "images" / name, HEIGHT, WIDTH)
        write_mask(tmp_path / "masks" / f"{Path(name).stem}.png", np.ones((HEIGHT, WIDTH), np.uint8))
    (tmp_path / "labels").mkdir()
    yolo(tmp_path / "labels")
    (tmp_path / "labels" / "classes.txt").rename(tmp_path / "classes.txt")
    assert detect_format(tmp_path, "segmentation").format == "mask_folder"
    assert detect_format(tmp_path, "detection").format == "yolo"


def test_two_files_of_one_split_are_refused(tmp_path: Path, write_image: Any) -> None:
    for name in OBJECTS:
        write_image(tmp_path / name, HEIGHT, WIDTH)
    via_json(tmp_path)
    via_csv(tmp_path)
    with pytest.raises(InputError, match="are both annotations of 'all': give the path of the one to use"):
        detect_format(tmp_path)
    assert detect_format(tmp_path / "via_export.csv").format == "via"


@pytest.mark.parametrize("address", ["http://[x/a.jpg", "//[/a.jpg", "http://[::1/upload/a.jpg"])
def test_an_address_that_is_none_is_a_name(address: str, tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "a.jpg")
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["owl"]}
    task = {"data": {"image": address}, "annotations": [{"result": [{"from_name": "label", "value": value}]}]}
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    found = detect_format(tmp_path, "detection")
    assert [Path(path).name for path in found.read("all").image_paths] == ["a.jpg"]


def test_a_subset_is_no_path(tmp_path: Path, write_image: Any) -> None:
    write_image(tmp_path / "other" / "a.jpg")
    (tmp_path / "set").mkdir()
    image = '<image name="a.jpg" subset="../other"><box label="owl" xtl="1" ytl="1" xbr="9" ybr="9"/></image>'
    (tmp_path / "set" / "annotations.xml").write_text(f"<annotations>{image}</annotations>")
    with pytest.raises(InputError, match=r"a split called '\.\./other', which is no name for a file"):
        detect_format(tmp_path / "set", "detection")
