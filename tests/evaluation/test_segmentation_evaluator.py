"""Covers evaluation/cityscapes_results.py, evaluation/multi_scale.py, evaluation/report/segmentation.py.

Evaluation of segmenters: Cityscapes' own scores and files, and predictions at several scales.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import FeatureInfo, Features, Size
from pocketvision.datasets import CITYSCAPES_NAMES, CityscapesDataModule, MaskFolderDataModule
from pocketvision.datasets.formats.cityscapes import CITYSCAPES_LABEL_IDS
from pocketvision.evaluation.cityscapes_results import CityscapesResults, write_label_ids
from pocketvision.evaluation.compare import compare
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.evaluation.multi_scale import Inference, MultiScaleSegmenter, window_starts
from pocketvision.evaluation.segmentation_evaluator import SegmentationEvaluator
from pocketvision.models import Segmenter

CPU = torch.device("cpu")


class Stripes:
    """Predicts the classes one after the other in vertical stripes, whatever the image."""

    def __init__(self, class_names: Sequence[str | None], width: int = 7) -> None:
        self.class_names, self.width = tuple(class_names), width

    def predict(self, images: Tensor, original_sizes: Sequence[Size]) -> list[Tensor]:
        return [
            (torch.arange(width) // self.width % len(self.class_names)).to(torch.uint8).repeat(height, 1)
            for height, width in original_sizes
        ]


def read(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def add_instances(root: Path) -> None:
    """Every region of a class with instances becomes one."""
    for path in root.rglob("*_labelIds.png"):
        labels = np.asarray(Image.open(path)).astype(np.uint16)
        instances = np.where(labels >= 24, labels * 1000, labels).astype(np.uint16)
        cv2.imwrite(str(path).replace("labelIds", "instanceIds"), instances)


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    """Results on the tiny Cityscapes."""
    folder = tmp_path_factory.mktemp("cityscapes")
    shutil.copytree(tiny("cityscapes"), folder / "data")
    add_instances(folder / "data")
    data = CityscapesDataModule(folder / "data", batch_size=2, num_workers=0)
    data.connect(CITYSCAPES_NAMES, Resize((32, 64)))
    evaluate(Stripes(CITYSCAPES_NAMES), data, "val", folder / "results", CPU)
    return folder


def test_cityscapes_has_its_own_scores(cityscapes: Path) -> None:
    metrics = read(cityscapes / "results")
    assert {"mIoU", "category_mIoU", "boundary_mIoU", "mIoU_ci_low", "iIoU"} <= set(metrics)
    assert set(metrics["per_category"]) == {
        "flat", "construction", "object", "nature", "sky", "human", "vehicle",
    }  # fmt: skip
    assert "Categories" in (cityscapes / "results" / "report.html").read_text()
    assert metrics["mIoU_ci_low"] <= metrics["mIoU"] <= metrics["mIoU_ci_high"]


def test_the_submission_holds_label_ids_under_the_images_names(cityscapes: Path) -> None:
    images = {path.name for path in (cityscapes / "data" / "leftImg8bit" / "val").rglob("*.png")}
    files = list((cityscapes / "results" / "submission").iterdir())
    assert {path.name for path in files} == images and images
    for path in files:
        picture = Image.open(path)
        assert picture.mode == "L"
        width, height = picture.size
        expected = np.take(CITYSCAPES_LABEL_IDS, np.arange(width) // 7 % 19)
        assert np.array_equal(np.asarray(picture), np.tile(expected, (height, 1)))


def test_cityscapes_scripts_read_the_submission_alike(
    cityscapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as scripts  # noqa: N813

    monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    arguments = scripts.args
    arguments.quiet, arguments.JSONOutput, arguments.evalPixelAccuracy = True, False, False
    arguments.predictionPath, arguments.predictionWalk = str(cityscapes / "results" / "submission"), None
    truths = [str(path) for path in (cityscapes / "data").rglob("val/*/*_labelIds.png")]
    predictions = [scripts.getPrediction(arguments, truth) for truth in truths]
    found = scripts.evaluateImgLists(predictions, truths, arguments)
    metrics = read(cityscapes / "results")
    assert metrics["mIoU"] == pytest.approx(found["averageScoreClasses"], abs=1e-12)
    assert metrics["category_mIoU"] == pytest.approx(found["averageScoreCategories"], abs=1e-12)
    for name, row in metrics["per_class"].items():
        expected = found["classScores"][name]
        assert row["IoU"] == (None if np.isnan(expected) else pytest.approx(expected, abs=1e-12))
        if "iIoU" in row:
            instances = found["classInstScores"][name]
            assert row["iIoU"] == (None if np.isnan(instances) else pytest.approx(instances, abs=1e-12))
    assert metrics["iIoU"] == pytest.approx(found["averageScoreInstClasses"], abs=1e-12)


def test_a_submission_that_reads_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_ids = np.uint8([[7, 8], [23, 26]])
    write_label_ids(tmp_path / "a.png", label_ids)
    save = Image.Image.save
    monkeypatch.setattr(
        Image.Image, "save", lambda picture, *rest, **more: save(picture.rotate(90), *rest, **more)
    )
    with pytest.raises(InputError, match=r"b\.png does not hold what was written to it"):
        write_label_ids(tmp_path / "b.png", label_ids)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_instance_map_that_is_no_picture_is_named(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    shutil.copytree(tiny("cityscapes"), tmp_path / "data")
    add_instances(tmp_path / "data")
    data = CityscapesDataModule(tmp_path / "data", batch_size=2, num_workers=0)
    data.connect(CITYSCAPES_NAMES, Resize((32, 64)))
    results = CityscapesResults(data.records("val"), tmp_path / "submission")
    mask_path = Path(data.records("val").mask_paths[0])
    broken = Path(str(mask_path).replace("labelIds", "instanceIds"))
    broken.write_bytes(b"no picture")
    shape = np.asarray(Image.open(mask_path)).shape
    with pytest.raises(InputError, match=f"{broken.name} can't be read as a picture"):
        results.update(int(data.records("val").image_ids[0]), np.zeros(shape, np.uint8))


def test_the_sheet_shows_images_from_the_first_to_the_last(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pocketvision.evaluation.segmentation_evaluator.NUM_PICTURES", 2)
    data = CityscapesDataModule(tiny("cityscapes"), batch_size=3, num_workers=0)
    data.connect(CITYSCAPES_NAMES, Resize((32, 64)))
    evaluator = SegmentationEvaluator(Stripes(CITYSCAPES_NAMES), data.records("val"))
    for samples in data.eval_dataloader("val"):
        evaluator.update(samples)
    dataset = data.dataset("val", train=False)
    expected = [dataset[i][0] for i in (0, len(dataset) - 1)]
    assert len(dataset) > 2 and len(evaluator.shown) == 2
    assert all(
        torch.equal(row[0], image) for row, image in zip(evaluator.shown.values(), expected, strict=True)
    )


def test_other_masks_are_scored_compared_and_reported(tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    names = tuple("abcdefghijk")
    data = MaskFolderDataModule(
        tiny("masks"), class_names=names, ignore_ids=(11,), batch_size=3, num_workers=0
    )
    data.connect(names, Resize((32, 32)))
    for name, width in (("a", 7), ("b", 9)):
        evaluate(Stripes(names, width), data, "val", tmp_path / name, CPU)
    metrics = read(tmp_path / "a")
    assert 0 <= metrics["boundary_mIoU"] <= 1 and "per_category" not in metrics
    assert not (tmp_path / "a" / "submission").exists()
    assert "Worst images" in (tmp_path / "a" / "report.html").read_text()
    a, b, gain = compare(tmp_path / "a", tmp_path / "b").metrics["mIoU"]
    assert (a, b) == (metrics["mIoU"], read(tmp_path / "b")["mIoU"])
    assert gain.low <= gain.value <= gain.high


class Identity(nn.Module):
    """A backbone that gives half-size colors."""

    feature_info: ClassVar = {"c1": FeatureInfo(3, 2)}

    def forward(self, images: Tensor) -> Features:
        return {"c1": F.avg_pool2d(images, 2)}


class ColorHead(nn.Module):
    """One convolution over the colors."""

    def __init__(self, feature_info: dict[str, FeatureInfo], num_classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, num_classes, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.convolution(features["c1"])
        return logits


@pytest.fixture
def segmenter() -> Segmenter:
    names = ("road", None, "sky", "car", "tree")
    return Segmenter(Identity(), ColorHead, names, Resize((32, 48), mode="letterbox"))


@pytest.fixture
def images() -> Tensor:
    small = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 8, 12)).astype(np.float32))
    return F.interpolate(small, (32, 48), mode="bicubic").clamp(0, 255).to(torch.uint8)


SIZES: list[Size] = [(40, 60), (64, 48)]


@pytest.mark.parametrize("inference", [Inference(), Inference(window=(100, 100))])
def test_one_scale_and_one_window_are_the_model_itself(
    segmenter: Segmenter, images: Tensor, inference: Inference
) -> None:
    found = MultiScaleSegmenter(segmenter, inference).predict(images, SIZES)
    for a, b in zip(found, segmenter.predict(images, SIZES), strict=True):
        assert a.dtype == torch.uint8 and a.shape == b.shape
        # A window's logits are enlarged twice, which rounds pixels on the edge of two classes differently.
        assert (a == b).float().mean() > (0.999 if inference.window is None else 0.97)


@torch.no_grad()
def test_scales_and_mirrors_are_averaged_at_the_original_size(segmenter: Segmenter, images: Tensor) -> None:
    found = MultiScaleSegmenter(segmenter, Inference((0.5, 1.0), flip=True)).predict(images, SIZES)
    for i, size in enumerate(SIZES):
        total = torch.zeros(5, *size)
        whole = images[i : i + 1].float()
        for side in (whole, F.interpolate(whole, (16, 24), mode="bilinear")):
            plain, mirrored = segmenter(side)[0], segmenter(side.flip(3))[0].flip(2)
            for logits in (plain, mirrored):
                logits[1] = -1e9
                total += segmenter.resize.restore_logits(logits, size).softmax(dim=0)
        assert (total.argmax(dim=0) == found[i]).float().mean() > 0.999
        assert not (found[i] == 1).any()


def test_windows_cover_everything_and_overlap() -> None:
    for length, window in ((2048, 769), (48, 48), (100, 33), (7, 1)):
        starts = window_starts(length, window)
        assert starts[0] == 0 and starts[-1] == length - window
        gaps = np.diff(starts)
        assert (gaps <= max(1, window * 2 / 3 + 1)).all()


def test_windows_see_what_the_whole_sees(segmenter: Segmenter, images: Tensor) -> None:
    """Away from the windows' edges a convolution doesn't know that there are windows."""
    found = MultiScaleSegmenter(segmenter, Inference(window=(24, 24))).predict(images, SIZES)
    for a, b in zip(found, segmenter.predict(images, SIZES), strict=True):
        assert (a == b).float().mean() > 0.85


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="give numbers above 0"):
        Inference(scales=(1.0, 0.0))
    with pytest.raises(InputError, match="give a height and a width above 0"):
        Inference(window=(0, 5))
