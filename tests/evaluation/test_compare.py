"""Covers evaluation/per_image_results.py.

Comparisons: of what, by what test, and what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.evaluation.compare import compare, comparison_text, results_folder
from pocketvision.evaluation.per_image_results import (
    ClassificationImages,
    DetectionImages,
    SegmentationImages,
    ordered_boxes,
    read_images,
)
from pocketvision.metrics.coco_arrays import Truth

_ALL_BITS = 2**40 - 1
"""Every IoU threshold of every range of areas."""


def classifier(folder: Path, wrong: int, num_images: int = 40) -> Path:
    """Results of a classifier that gives the first ``wrong`` images the other class."""
    true_names = np.array(["cat", "owl"] * (num_images // 2))
    predicted = true_names.copy()
    predicted[:wrong] = np.where(true_names[:wrong] == "cat", "owl", "cat")
    ids = np.arange(num_images)
    names = np.array([f"{i}.jpg" for i in ids])
    images = ClassificationImages(ids, names, np.array(["cat", "owl"]), true_names, predicted)
    return results(folder, images, {"top1": 1 - wrong / num_images})


def detector(folder: Path, num_images: int = 3, found: bool = True, moved: float = 0.0) -> Path:
    """Results of a detector on one box an image, ``moved`` pixels to the right in the truth."""
    ids, hits = np.arange(num_images), np.full(num_images, _ALL_BITS * found, np.uint64)
    zeros, ones = np.zeros(num_images, np.int32), np.ones(num_images, np.int64)
    boxes = np.tile(np.float32([5 + moved, 5, 20, 20]), (num_images, 1))
    images = DetectionImages(
        ids, np.array([f"{i}.jpg" for i in ids]), np.array(["cat"]), ids.astype(np.int32), zeros, hits,
        np.full(num_images, _ALL_BITS, np.uint64), ids.astype(np.int32), zeros,
        np.full(num_images, 0b0011, np.uint8), ones * found, ones * (not found), ones * (not found), boxes,
    )  # fmt: skip
    score = float(found)
    return results(folder, images, {"AP": score, "AP50": score, "AP_small": score})


def segmenter(folder: Path, hits: int) -> Path:
    counts = np.array([[[hits, 100, 100]], [[hits, 100, 100]]])
    images = SegmentationImages(np.arange(2), np.array(["a.png", "b.png"]), np.array(["road"]), counts)
    return results(folder, images, {"mIoU": hits / (200 - hits)})


def results(folder: Path, images: Any, metrics: dict[str, float]) -> Path:
    folder.mkdir(parents=True)
    images.write(folder)
    (folder / "metrics.json").write_text(json.dumps({**metrics, "split": "val"}))
    return folder


def test_classifiers(tmp_path: Path) -> None:
    a, b = classifier(tmp_path / "a", 20), classifier(tmp_path / "b", 2)
    comparison = compare(a, b)
    value_a, value_b, gain = comparison.metrics["top1"]
    assert (value_a, value_b) == (0.5, 0.95) and gain.value == pytest.approx(0.45)
    assert 0.2 < gain.low < 0.45 < gain.high < 0.7 and gain.p_value < 0.01
    text = comparison_text(comparison, ("a", "b"))
    assert "B gains 18, loses 0, 22 are equal" in text and "2.jpg" in text
    same = compare(a, a).metrics["top1"][2]
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_detectors_by_the_sizes_of_boxes(tmp_path: Path) -> None:
    """All boxes are small."""
    comparison = compare(detector(tmp_path / "a", found=False), detector(tmp_path / "b"))
    assert {name: row[2].value for name, row in comparison.metrics.items()} == {
        "AP": 1, "AP50": 1, "AP_small": 1
    }  # fmt: skip
    assert "AP_small      0.0000    1.0000   +1.0000" in comparison_text(comparison, ("a", "b"))


def test_one_image_proves_nothing(tmp_path: Path) -> None:
    """All resamples of one image are equal, which looked like certainty."""
    a, b = detector(tmp_path / "a", 1, found=False), detector(tmp_path / "b", 1)
    with pytest.raises(InputError, match="a test takes two images or more"):
        compare(a, b)


def test_moved_boxes_are_other_annotations(tmp_path: Path) -> None:
    """As many boxes of the same classes in the same images, but corrected."""
    a = detector(tmp_path / "a")
    assert compare(a, detector(tmp_path / "rounded", moved=0.004)).metrics["AP"][2].value == 0
    with pytest.raises(InputError, match="of different images or annotations"):
        compare(a, detector(tmp_path / "b", moved=3.0))
    with pytest.raises(InputError, match="of different images or annotations"):
        compare(a, detector(tmp_path / "c", num_images=4))


def test_tasks_are_not_mixed(tmp_path: Path) -> None:
    folders = detector(tmp_path / "d"), segmenter(tmp_path / "s", 50), classifier(tmp_path / "c", 3)
    for i in range(3):
        with pytest.raises(InputError, match="only models of one task can be compared"):
            compare(folders[i], folders[i - 1])
    for folder, kind in zip(
        folders, (DetectionImages, SegmentationImages, ClassificationImages), strict=True
    ):
        assert type(read_images(folder)) is kind


def test_results_of_another_version_are_named(tmp_path: Path) -> None:
    folder = detector(tmp_path / "a")
    with np.load(folder / "images.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "truth_boxes"}
    np.savez(folder / "images.npz", **arrays)
    with pytest.raises(InputError, match="lacks truth_boxes, as another version wrote it: score it again"):
        read_images(folder)


def test_a_run_has_its_own_results_before_those_of_eval(tmp_path: Path) -> None:
    run = classifier(tmp_path / "run", 5)
    classifier(run / "eval_val", 6)
    (classifier(run / "eval_test", 7) / "metrics.json").write_text('{"split": "test", "top1": 0.1}')
    assert results_folder(run, None) == results_folder(run, "val") == run
    assert results_folder(run, "test") == run / "eval_test"


def test_the_order_of_a_file_is_no_difference() -> None:
    random = np.random.default_rng(0)
    images, categories = np.sort(random.integers(0, 4, 30)), random.integers(0, 2, 30)
    truth = Truth(
        images, categories, random.random((30, 4)) * 9, np.ones(30), random.random(30) < 0.2, np.arange(1, 31)
    )
    rows = random.permutation(30)
    assert np.array_equal(ordered_boxes(truth), ordered_boxes(Truth(*(values[rows] for values in truth))))
