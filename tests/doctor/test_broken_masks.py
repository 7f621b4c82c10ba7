"""Covers doctor/checks/masks.py, doctor/fixes/masks.py.

Every way in which masks can be wrong is found, and the cleaned copy trains.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.resize import Resize
from pocketvision.datasets import SegmentationDataset
from pocketvision.datasets.formats.cityscapes import CITYSCAPES_LABEL_IDS, CITYSCAPES_NAMES
from pocketvision.datasets.formats.detect import detect_format
from pocketvision.doctor.check import Examination, Plan, examine
from pocketvision.doctor.fixes.copy import write_fixed


def look(root: Path, plan: Plan | None = None) -> Examination:
    return examine(detect_format(root), plan or Plan())


def read_fixed(found: Examination, output: Path) -> SegmentationDataset:
    """The cleaned copy has no errors and gives samples."""
    write_fixed(found, output)
    assert not look(output).report.findings.by_severity("error")
    samples = SegmentationDataset(detect_format(output, "segmentation").read("train"), Resize((48, 64)))
    assert all(samples[i][0].shape == (3, 48, 64) for i in range(len(samples)))
    return samples


def test_single_masks(clean: Callable[..., Path], mask: Callable[..., np.ndarray], tmp_path: Path) -> None:
    root = clean("mask_folder", 10)
    masks = root / "train" / "masks"
    half = mask(0)[::2, ::2]
    Image.fromarray(half).save(masks / "0.png")
    Image.fromarray(mask(1)[:, :40]).save(masks / "1.png")
    Image.fromarray(mask(2)).save(masks / "2.jpg")
    (masks / "2.png").unlink()
    Image.fromarray(mask(3)).save(masks / "3.png", "JPEG")
    values = mask(4)
    values[0, :5] = 77
    Image.fromarray(values).save(masks / "4.png")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(masks / "5.png")
    Image.fromarray(np.stack([mask(6)] * 3, axis=-1)).save(masks / "6.png")
    (masks / "7.png").write_bytes((masks / "7.png").read_bytes()[:60])
    (masks / "8.png").unlink()
    values = np.full((48, 64), 255, np.uint8)
    values[:6, :6] = 1
    Image.fromarray(values).save(masks / "9.png")
    Image.fromarray(mask(0)).save(masks / "alone.png")
    found = look(root)
    expected = {
        "mask_size": {"0.png", "1.png"}, "mask_jpeg": {"2.jpg", "3.png"}, "mask_unexpected": {"4.png"},
        "mask_all_void": {"5.png"}, "mask_unreadable": {"6.png", "7.png"},
        "mask_missing": {"8.jpg"}, "crops_all_void": {"9.png"}, "mask_unused": {"alone.png"},
    }  # fmt: skip
    kept = found.report.findings.kept
    assert {kind: {Path(f.file).name for f in kept[kind]} for kind in kept} == expected
    assert "5 pixels with the ids 77" in kept["mask_unexpected"][0].sentence
    samples = read_fixed(found, tmp_path / "out")
    names = [Path(path).stem for path in samples.records.image_paths]
    assert names == ["0", "4", "9"]
    assert np.array_equal(samples[0][1].mask.numpy(), np.kron(half, np.ones((2, 2), np.uint8)))
    assert (samples[1][1].mask.numpy()[0, :5] == 255).all()


@pytest.mark.parametrize("kind", ["mask_binary", "mask_shifted", "mask_label_ids"])
def test_ids_of_the_whole_set(
    kind: str, clean: Callable[..., Path], mask: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    root = clean("mask_folder", 3)
    right = {}
    for path in sorted(root.glob("*/masks/*.png")):
        if kind == "mask_binary":
            values = (mask(int(path.stem), 2) == 1).astype(np.uint8)
            right[path.name], wrong = values, values * 255
        elif kind == "mask_shifted":
            values = mask(int(path.stem))
            right[path.name], wrong = values, np.where(values < 255, values + 1, 255)
        else:
            values = mask(int(path.stem), 19)
            lookup = np.arange(256)
            lookup[:19] = CITYSCAPES_LABEL_IDS
            right[path.name], wrong = values, lookup[values]
        Image.fromarray(wrong.astype(np.uint8)).save(path)
    names = {
        "mask_binary": ("back", "front"),
        "mask_shifted": ("sky", "road", "car"),
        "mask_label_ids": CITYSCAPES_NAMES,
    }
    (root / "classes.txt").write_text("\n".join(names[kind]))
    found = look(root)
    is_read = kind == "mask_binary"
    assert found.report.findings.counts[kind] == (0 if is_read else 6) and found.cause == (
        "" if is_read else kind
    )
    assert not found.report.findings.counts["mask_unexpected"]
    samples = read_fixed(found, tmp_path / "out")
    for i, path in enumerate(samples.records.mask_paths):
        assert np.array_equal(samples[i][1].mask.numpy(), right[Path(path).name])


def test_cityscapes_with_train_ids(clean: Callable[..., Path], tmp_path: Path) -> None:
    root = clean("cityscapes", 2)
    assert not look(root).report.findings.by_severity("error")
    right = {}
    for path in root.rglob("*_labelIds.png"):
        values = np.resize(np.arange(20, dtype=np.uint8), (48, 64))
        values[values == 19] = 255
        right[path.name] = values
        Image.fromarray(values).save(path)
    found = look(root)
    assert found.report.findings.by_severity("error") == ["mask_train_ids"]
    write_fixed(found, tmp_path / "out")
    samples = SegmentationDataset(detect_format(tmp_path / "out").read("train"), Resize((48, 64)))
    for i, path in enumerate(samples.records.mask_paths):
        name = Path(path).name.replace("_leftImg8bit", "_gtFine_labelIds")
        assert np.array_equal(samples[i][1].mask.numpy(), right[name])


def test_colours_by_a_table(
    clean: Callable[..., Path], mask: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    root = clean("mask_folder", 3)
    (root / "classes.txt").write_text("sky 0 0 255\nroad 128 64 128\ncar 255 0 0\n")
    colors = np.array([(0, 0, 255), (128, 64, 128), (255, 0, 0)], np.uint8)
    for path in root.glob("*/masks/*.png"):
        Image.fromarray(colors[np.minimum(mask(int(path.stem)), 2)]).save(path)
    assert not look(root).report.findings.kept
    pixels = colors[np.minimum(mask(0), 2)]
    pixels[0, 0] = (9, 9, 9)
    Image.fromarray(pixels).save(root / "train" / "masks" / "0.png")
    found = look(root)
    (finding,) = found.report.findings.kept["mask_unexpected"]
    assert "(9, 9, 9)" in finding.sentence and finding.file.endswith("0.png")


def test_a_plan_names_the_classes(clean: Callable[..., Path]) -> None:
    root = clean("mask_folder", 3)
    (root / "classes.txt").unlink()
    assert look(root).report.findings.by_severity("warning") == ["class_names_missing"]
    found = look(root, Plan(class_names=("sky", "road"), ignore_ids=(2,))).report.findings
    assert not found.kept
    found = look(root, Plan(class_names=("sky", "road"))).report.findings
    assert found.by_severity("error") == ["mask_unexpected"]
