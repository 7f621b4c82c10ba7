"""Covers doctor/anchors/fitted.py, doctor/anchors/suggested.py, doctor/anchors/summary.py.

What the doctor says about anchors, against counts by brute force.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from pocketvision.core.anchors import ExplicitAnchors, TensorFlowAnchors, TorchvisionAnchors
from pocketvision.core.resize import Resize
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.datasets.records.annotations import DetectionRecords
from pocketvision.doctor.anchors.reach import (
    AnchorLayout,
    ImageBoxes,
    areas_of,
    best_iou,
    ceiling,
    evenly,
    match,
    resize_boxes,
)
from pocketvision.doctor.anchors.suggested import assign, cluster_shapes, map_levels, suggest
from pocketvision.doctor.anchors.summary import report_anchors
from pocketvision.doctor.check import Plan, examine
from pocketvision.tasks.own.fit_to_data import fit_anchors

RESIZE = Resize((320, 320))
LAYOUTS = (AnchorLayout("TensorFlow", TensorFlowAnchors()), AnchorLayout("torchvision", TorchvisionAnchors()))


def some_boxes(count: int = 300, images: int = 20, seed: int = 0) -> ImageBoxes:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(100, 600, (images, 2))
    owners = generator.integers(0, images, count)
    limits = np.tile(sizes[owners][:, ::-1], 2)
    corners = generator.random((count, 2, 2)) * limits.reshape(-1, 2, 2)
    boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1) + 2), axis=1)
    return ImageBoxes(boxes, owners, sizes)


def as_records(found: ImageBoxes) -> DetectionRecords:
    order = np.argsort(found.owners, kind="stable")
    count = len(found.boxes)
    return DetectionRecords(
        root="", image_paths=[f"{i}.jpg" for i in range(len(found.sizes))],
        image_ids=np.arange(len(found.sizes)), sizes=found.sizes.astype(np.int32),
        offsets=np.concatenate(([0], np.cumsum(np.bincount(found.owners, minlength=len(found.sizes))))),
        boxes=found.boxes[order], labels=np.zeros(count, np.int64), crowd=np.zeros(count, np.bool_),
        areas=areas_of(found.boxes[order]), class_names=("a",), category_ids=(1,),
    )  # fmt: skip


def brute_force(found: ImageBoxes, layout: AnchorLayout, size: int) -> tuple[int, int]:
    """Unmatched and lost boxes of a stretched input, image by image, as torchvision matches."""
    anchors = layout.anchors([(-(-size // s), -(-size // s)) for s in layout.strides], (size, size))
    unmatched = lost = 0
    for image, (height, width) in enumerate(found.sizes.tolist()):
        scale = np.array([size / width, size / height] * 2, dtype=np.float64)
        boxes = torch.from_numpy((found.boxes[found.owners == image] * scale).astype(np.float32))
        if not len(boxes):
            continue
        iou = box_iou(boxes, anchors).numpy()
        unmatched += int((iou.max(axis=1) < 0.5).sum())
        owner = np.where(iou.max(axis=0) >= 0.5, iou.argmax(axis=0), -1)
        for box in range(len(boxes)):
            owner[int(iou[box].argmax())] = box  # the later box takes a shared best anchor
        lost += len(set(range(len(boxes))) - set(owner.tolist()))
    return unmatched, lost


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_matching_equals_brute_force(layout: AnchorLayout) -> None:
    found = some_boxes()
    twins = found._replace(
        boxes=np.concatenate((found.boxes, found.boxes[:40] + 0.5)),
        owners=np.concatenate((found.owners, found.owners[:40])),
    )
    matching = match(twins, layout, RESIZE)
    unmatched, lost = brute_force(twins, layout, 320)
    assert (matching.unmatched.sum(), matching.lost.sum()) == (unmatched, lost)
    assert unmatched > 0 and lost > 0


@pytest.mark.parametrize("size", [(224, 224), (129, 257)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_the_nearest_anchor_of_each_shape_is_the_best_of_all(size: tuple[int, int], mode: str) -> None:
    found, resize = some_boxes(), Resize(size, mode=mode)  # type: ignore[arg-type]
    explicit = ExplicitAnchors((((0.1, 0.2),), ((0.3, 0.3), (0.9, 0.2))))
    for layout in (*LAYOUTS, AnchorLayout("own", explicit, (8, 32))):
        boxes = resize_boxes(found, resize)
        expected = box_iou(torch.from_numpy(boxes), layout.place(size).double()).amax(dim=1).numpy()
        np.testing.assert_allclose(best_iou(boxes, layout, size), expected, atol=2e-6)


def test_boxes_travel_as_the_model_resizes_them() -> None:
    found = some_boxes(50, 5)
    for mode in ("stretch", "letterbox"):
        resize = Resize((320, 256), mode=mode)  # type: ignore[arg-type]
        sizes = [tuple(found.sizes[owner].tolist()) for owner in found.owners]
        rows = zip(found.boxes.astype(np.float32), sizes, strict=True)
        expected = [resize.apply_to_boxes(box[None], size)[0] for box, size in rows]
        np.testing.assert_allclose(resize_boxes(found, resize), expected, rtol=1e-5)


def test_the_ceiling_by_size() -> None:
    areas = np.array([10.0, 1023.0, 1024.0, 9215.0, 9216.0])
    reached = ceiling(np.array([0.6, 0.4, 0.5, 0.49, 0.9]), areas)
    assert reached == (3 / 5, 0.5, 0.5, 1.0)
    assert ceiling(np.zeros(1), np.ones(1)).large is None


def test_suggested_anchors_reach_what_they_were_made_for() -> None:
    generator = np.random.default_rng(0)
    corners = generator.random((400, 2)) * 250
    sides = np.array([(12.0, 16.0), (50.0, 30.0)])[generator.integers(0, 2, 400)] * generator.uniform(
        0.9, 1.1, (400, 1)
    )
    found = ImageBoxes(
        np.concatenate((corners, corners + sides), axis=1), np.arange(400) % 40, np.full((40, 2), 320)
    )
    before = ceiling(best_iou(found.boxes, LAYOUTS[1], (320, 320)), areas_of(found.boxes))
    fine = suggest(found, RESIZE, (4, 8, 16, 32), all_maps=False)
    assert fine.ceiling.all is not None and fine.ceiling.all > 0.97 and (before.all or 0) < 0.5
    assert fine.layout.strides == (4, 8), "no coarser map is needed"
    assert suggest(found, RESIZE, (4, 8, 16, 32)).layout.strides == (4, 8, 16, 32)
    # They can be used as they are printed.
    anchors = eval(repr(fine.layout.anchors), {"ExplicitAnchors": ExplicitAnchors})
    again = box_iou(
        torch.from_numpy(found.boxes).float(), anchors(fine.layout.map_sizes((320, 320)), (320, 320))
    ).amax(dim=1)
    assert float((again >= 0.5).float().mean()) == pytest.approx(fine.ceiling.all, abs=1e-9)


def test_shapes_lie_on_the_map_that_fits_and_no_map_is_empty() -> None:
    shapes = np.array([(0.05, 0.05), (0.2, 0.2)])  # 16 and 64 pixels
    assert map_levels(shapes, (320, 320), (4, 8, 16, 32)) == [0, 2]
    assert assign(shapes, (320, 320), (4, 8, 16, 32)).map_shapes == (
        ((0.05, 0.05),), ((0.05, 0.05),), ((0.2, 0.2),), ((0.2, 0.2),)
    )  # fmt: skip
    centers = cluster_shapes(np.repeat(shapes, 50, axis=0) * np.linspace(0.95, 1.05, 100)[:, None], 2)
    np.testing.assert_allclose(centers, shapes, atol=0.006)
    assert len(cluster_shapes(shapes, 10)) == 2


def test_very_many_boxes_are_sampled_by_image() -> None:
    found = some_boxes(300, 20)
    part = evenly(found, 100)
    assert set(part.owners) < set(found.owners)
    assert all((part.owners == o).sum() == (found.owners == o).sum() for o in set(part.owners))
    assert (
        report_anchors(found._replace(boxes=np.zeros((0, 4)), owners=np.zeros(0, int)), RESIZE, None) is None
    )


@pytest.fixture
def real_data() -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared"
    path = Path(os.environ.get("POCKETVISION_SHARED", beside)) / "data"
    if not path.is_dir():
        pytest.skip(f"no real data: {path} does not exist (set POCKETVISION_SHARED)")
    return path


@pytest.mark.parametrize("name", ["bccd", "coco_mini"])
def test_real_boxes_equal_brute_force(name: str, real_data: Path) -> None:
    from pocketvision.datasets import read_coco, read_voc

    records = read_voc(real_data / name, "test") if name == "bccd" else read_coco(real_data / name, "val")
    count = min(len(records), 100)
    owners = np.repeat(np.arange(len(records)), np.diff(records.offsets))[~records.crowd]
    boxes = np.asarray(records.boxes[~records.crowd], dtype=np.float64)
    found = ImageBoxes(boxes[owners < count], owners[owners < count], records.sizes[:count].astype(np.int64))
    for layout in LAYOUTS:
        matching = match(found, layout, RESIZE)
        assert (matching.unmatched.sum(), matching.lost.sum()) == brute_force(found, layout, 320)


def test_what_is_shown_of_anchors_is_what_training_uses() -> None:
    found = some_boxes()
    records = as_records(found)
    report = report_anchors(found, RESIZE, None)
    assert report is not None
    shown = {size: reached.all for _, size, reached in report.ceilings}
    for size in ((320, 320), (512, 512)):  # fitted anew at another size
        assert shown[size] == pytest.approx(fit_anchors(records, size)[1])


def test_the_report_of_a_folder(clean: Callable[..., Path]) -> None:
    root = clean("coco", 4)
    report = examine(detect_format(root), Plan()).report.anchors
    assert report is not None and report.num_boxes == 8, "training boxes only"
    assert [row.name for row in report.matched] == ["train --data"], "no anchors that no training uses"
    assert {name for name, _, _ in report.ceilings} == {"train --data"} and not report.suggestions
    own = AnchorLayout("config", ExplicitAnchors((((0.3, 0.5),),)), (16,))
    plan = Plan(anchors=own, resize=Resize((300, 300)))
    report = examine(detect_format(root), plan).report.anchors
    assert report is not None and [row.name for row in report.matched] == ["config"]
    assert {size for name, size, _ in report.ceilings if name == "config"} >= {
        (300, 300),
        (320, 320),
        (640, 640),
    }
    assert report.suggestions[0].layout.strides == (16,)
