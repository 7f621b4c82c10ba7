"""Covers evaluation/report/figures.py.

What a report says of the numbers, and that its drawings stand whatever is missing.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.evaluation.evaluate import metrics_table
from pocketvision.evaluation.report.document import Section, write_report
from pocketvision.evaluation.report.figures import bars, confusion_picture, recall_curves

METRICS = {
    "mIoU": 0.5, "mIoU_ci_low": 0.25, "mIoU_ci_high": 0.75, "iIoU": None, "num_images": 3,
    "num_resamples": 1000, "split": "val", "seconds": 4.4,
    "per_class": {"road": {"IoU": 0.5}, "<car>": {"IoU": None, "iIoU": 0.125}},
}  # fmt: skip


def test_the_page_says_what_was_scored(tmp_path: Path) -> None:
    table = [("error", "count", "what it is"), ("class", "3", "right place"), ("both", "n/a", "neither")]
    write_report(tmp_path / "r.html", "run/weights & more", METRICS, [Section("Errors", table=table)])
    page = (tmp_path / "r.html").read_text()
    assert "Scored: run/weights &amp; more, on the 3 images of val, in 4 s." in page
    assert str(tmp_path) in page and "&lt;car&gt;" in page
    assert "<td>0.2500 to 0.7500</td>" in page and "<td>n/a</td>" in page
    assert '<td>3</td><td class="text">right place</td>' in page, "words are read from the left"


def test_the_printed_table_has_the_columns_of_every_class() -> None:
    """The first class has no instances, others do."""
    lines = metrics_table(METRICS).splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["class", "IoU", "iIoU"], ["road", "0.5000", "n/a"], ["<car>", "n/a", "0.1250"],
    ]  # fmt: skip
    assert max(len(line) for line in lines[-3:]) < 30


def size(picture: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture)).size


@pytest.mark.parametrize("number", [1, 3, 60])
def test_drawings_grow_with_the_classes(number: int) -> None:
    names = [f"class {i}" for i in range(number)]
    matrix = np.arange(number * number).reshape(number, number)
    width, height = size(confusion_picture(matrix, names))
    assert 120 <= height <= 1400 and 250 <= width <= 1500
    assert size(bars(dict.fromkeys(names, 0.5)))[1] <= 1300
    assert size(recall_curves({name: [0.5] * 101 for name in names}))[0] > 600


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("name", ["cell", "a name that is longer than its place"])
def test_no_text_of_the_confusion_is_cut(number: int, name: str) -> None:
    """With one class the name of the axis was."""
    picture = confusion_picture(np.full((number, number), 123_456), [f"{i} {name}" for i in range(number)])
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    edges = [pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]]
    assert all((edge == 255).all() for edge in edges)


def test_the_mean_is_seen_over_the_curves_of_classes() -> None:
    """Of equal curves as of others; one class is its own mean."""
    curve = np.linspace(1, 0, 101).tolist()

    def pixels(names: str) -> np.ndarray:
        picture = recall_curves(dict.fromkeys(names, curve))
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)[50:390, 100:560]

    def num_black(names: str) -> int:
        return int((pixels(names).max(axis=2) < 30).sum())

    assert num_black("a") == 0 and num_black("abc") > 500
    assert num_black("abcdefghij") > 500
    colored = np.ptp(pixels("abc"), axis=2) > 60
    assert colored.sum() > 100, "between the dashes"


def test_drawings_of_nothing() -> None:
    assert size(bars({"cat": None})) > (0, 0) and size(recall_curves({"cat": None})) > (0, 0)
    assert size(confusion_picture(np.zeros((2, 2), int), ["cat", "owl"])) > (0, 0)
