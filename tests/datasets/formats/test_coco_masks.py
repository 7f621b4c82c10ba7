"""Covers datasets/coco/run_lengths.py, datasets/masks/cache.py.

Polygons and run lengths: drawn as pycocotools draws them, checked before it sees them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_coco_segmentation, read_mask
from pocketvision.datasets.coco.run_lengths import RunLengths, area, counted, decode, draw, polygons_of

Coco = Callable[..., Path]
STAR = [30, 2, 40, 30, 10, 12, 50, 12, 20.5, 30]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def with_masks(*segmentations: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for row, segmentation in zip(content["annotations"], segmentations, strict=False):
            row["segmentation"] = segmentation

    return change


def counts(mask: np.ndarray) -> list[int]:
    flat = np.concatenate(([0], mask.ravel(order="F"), [2]))
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate(([0], edges))).tolist()


def drawn(segmentation: Any, size: tuple[int, int], place: str) -> RunLengths:
    if not isinstance(segmentation, list):
        return counted(segmentation, size, place)
    parts, dropped = polygons_of(segmentation, size)
    assert parts or dropped or not segmentation
    return draw(parts, size) if parts else np.array([size[0] * size[1]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.integers(1, 90), st.integers(1, 90))
def test_run_lengths_in_both_forms(seed: int, share: float, height: int, width: int) -> None:
    from pycocotools import mask as masks

    mask = np.random.default_rng(seed).random((height, width)) < share
    text = masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    for given_counts in (text, counts(mask)):
        runs = counted({"size": [height, width], "counts": given_counts}, (height, width), "here")
        assert np.array_equal(decode(runs, (height, width)), mask) and area(runs) == mask.sum()


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(max_size=12),
        st.lists(st.integers(-5, 2**40), max_size=6),
        st.lists(st.lists(st.floats() | st.text() | st.integers(), max_size=8), max_size=3),
        st.fixed_dictionaries({"size": st.just([6, 4]), "counts": st.text("01234<=>?@_`abcno", max_size=9)}),
        st.fixed_dictionaries({"size": st.just([6, 4]), "counts": st.lists(st.integers(-9, 30), max_size=5)}),
    )
)
def test_anything_else_is_a_sentence(segmentation: Any) -> None:
    try:
        mask = decode(drawn(segmentation, (6, 4), "x.json, annotation 5"), (6, 4))
    except InputError as error:
        assert str(error).startswith("x.json, annotation 5: its ")
    else:
        assert mask.shape == (6, 4)


def test_order_crowd_and_overlap(coco: Coco) -> None:
    def change(content: dict[str, Any]) -> None:
        small, large = [20, 10, 30, 10, 30, 20, 20, 20], [0, 0, 60, 0, 60, 40, 0, 40]
        rows = [(7, [small], 0), (90, [large], 0), (2, [[0, 0, 60, 0, 60, 5, 0, 5]], 1)]
        content["annotations"] = [
            {
                "id": i,
                "image_id": 10,
                "category_id": c,
                "bbox": [1, 1, 5, 5],
                "iscrowd": crowd,
                "segmentation": s,
            }
            for i, (c, s, crowd) in enumerate(rows, start=1)
        ]

    records = read_coco_segmentation(coco(change), "train")
    assert records.class_names == ("background", "dog", "cat", "owl")
    index = records.image_ids.tolist().index(10)
    mask = read_mask(records.mask_paths[index])
    expected = np.full((40, 60), 3)
    expected[10:20, 20:30] = 2
    assert np.array_equal(mask, expected), "the large one covers the crowd, the small one the large"
    assert not read_mask(records.mask_paths[index - 1]).any(), "an image without annotations is background"


def test_a_polygon_is_pycocotools_s(coco: Coco) -> None:
    from pycocotools import mask as masks

    records = read_coco_segmentation(coco(with_masks([STAR], [STAR], [STAR], [STAR])), "train")
    with warnings.catch_warnings():  # pycocotools calls numpy in an old way
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = masks.decode(masks.merge(masks.frPyObjects([STAR], 40, 60)))
    index = records.image_ids.tolist().index(20)
    assert np.array_equal(read_mask(records.mask_paths[index]), expected)
    crowd = records.image_ids.tolist().index(30)
    assert np.array_equal(read_mask(records.mask_paths[crowd]), expected * 255)


def test_masks_are_drawn_once_and_again_when_the_file_changes(
    coco: Coco, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco(with_masks([STAR], [STAR], [STAR]))
    first = read_coco_segmentation(root, "train")
    assert "1 object has no outline, and its box is filled" in str(first.notes[0])
    assert "annotation 4" in str(first.notes[0])
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    again = read_coco_segmentation(root, "train")
    assert again.mask_paths == first.mask_paths and again.notes == first.notes
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == before and len(before) == 4
    Path(first.mask_paths[0]).unlink()
    read_coco_segmentation(root, "train")
    assert Path(first.mask_paths[0]).is_file()
    content = json.loads((root / "instances_train.json").read_text())
    content["annotations"][0]["segmentation"] = [[0, 0, 9, 0, 9, 9]]
    (root / "instances_train.json").write_text(json.dumps(content))
    assert read_coco_segmentation(root, "train").mask_paths != first.mask_paths


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (
            {"size": [60, 40], "counts": [2400]},
            "annotation 3: its run lengths are of 40x60 pixels, but its image has 60x40",
        ),
        ({"size": [40, 60], "counts": [2399]}, "annotation 3: its run lengths do not add up to 60x40"),
        ({"size": [40, 60], "counts": "ooooo"}, "annotation 3: its run lengths"),
    ],
)
def test_bad_mask(coco: Coco, segmentation: Any, words: str) -> None:
    with pytest.raises(InputError, match=rf"instances_train\.json, {words}"):
        read_coco_segmentation(coco(with_masks([STAR], [STAR], segmentation)), "train")


def test_no_masks_at_all(coco: Coco) -> None:
    with pytest.raises(InputError, match=r"instances_train\.json has boxes but no masks"):
        read_coco_segmentation(coco(), "train")


def test_shares_of_the_image_are_multiplied_in_outlines_too(coco: Coco) -> None:
    triangle = [6, 8, 48, 8, 48, 36]

    def change(content: dict[str, Any], *, shares: bool) -> None:
        sides = (60, 40) if shares else (1, 1)
        for i, row in enumerate(content["annotations"]):
            row["bbox"] = [v / sides[k % 2] for k, v in enumerate((6, 8, 42, 28))]
            row["iscrowd"] = 0
            if i % 2 == 0:
                row["segmentation"] = [[v / sides[k % 2] for k, v in enumerate(triangle)]]

    masks = []
    for shares in (False, True):
        records = read_coco_segmentation(coco(partial(change, shares=shares)), "train")
        masks.append([read_mask(path) for path in records.mask_paths])
    for plain, shared in zip(*masks, strict=True):
        assert np.array_equal(plain, shared)
    assert {int((mask > 0).sum()) for mask in masks[0]} >= {42 * 28}, "one is a filled box"
