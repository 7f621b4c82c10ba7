"""Covers tasks/curves.py.

Sheets of results and curves of a run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pocketvision.core.structures import BoxTarget, Detections
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.evaluation.report.sheets import (
    PREDICTION_COLOR,
    TRUTH_COLOR,
    Answer,
    classification_sheet,
    detection_sheet,
    palette_for,
    segmentation_sheet,
)
from pocketvision.tasks.curves import _group, plot_curves, read_curves, smooth

CSV = """epoch,lr-SGD,step,train/box_loss,train/loss,val/AP
0,,0,1.0,2.0,
0,0.1,0,,,
0,,1,0.5,nan,
0,,1,,,0.25
"""


def target() -> BoxTarget:
    return BoxTarget(torch.tensor([[10.0, 10, 40, 40]]), torch.tensor([0]), 1, (64, 64))


def count(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((image == color).all(axis=2).sum())


def test_detection_sheet_shows_what_reaches_the_threshold() -> None:
    images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    found = Detections(torch.tensor([[20.0, 20, 60, 60]]), torch.tensor([0.4]), torch.tensor([1]))
    seen = detection_sheet(images, [target()] * 8, [found] * 8, ["a", "b"], threshold=0.3)
    hidden = detection_sheet(images, [target()] * 8, [found] * 8, ["a", "b"])
    assert seen.shape[1] >= 4 * 400
    assert count(seen, PREDICTION_COLOR) > 8 * 1000 and count(hidden, PREDICTION_COLOR) < 1000
    assert count(hidden, TRUTH_COLOR) > 8 * 500


@pytest.mark.parametrize("number", [1, 6, 40])
def test_names_do_not_cover_names_and_scores_of_predictions(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many names as there is room for, and with more."""
    written: list[tuple[tuple[float, ...], tuple[int, ...]]] = []

    def write(
        draw: object, font: object, text: str, place: tuple[float, ...], color: tuple[int, ...]
    ) -> None:
        written.append((place, color))

    monkeypatch.setattr("pocketvision.core.drawing.write", write)
    random = np.random.default_rng(number)
    corners = random.uniform(0, 400, (number, 2))
    ends = (corners + random.uniform(20, 200, (number, 2))).clip(0, 448)
    boxes, labels = torch.from_numpy(np.hstack([corners, ends])), torch.from_numpy(np.arange(number) % 2)
    found = Detections(boxes + 1, torch.linspace(0.5, 1, number), labels)
    truth = BoxTarget(boxes, labels, 1, (448, 448))
    images = torch.zeros(1, 3, 448, 448, dtype=torch.uint8)
    detection_sheet(images, [truth], [found], ["cat", "traffic light"])
    predictions, truths = (
        [place for place, color in written if color == kind] for kind in (PREDICTION_COLOR, TRUTH_COLOR)
    )
    if number < 10:
        assert len(predictions) == len(truths) == number
    else:
        assert number > len(predictions) > len(truths) > 0
    covering = [
        (one, other)
        for one in (*predictions[2:], *truths)  # but the first of both classes
        for other in (*predictions, *truths)
        if one is not other
        and max(one[0], other[0]) < min(one[2], other[2])
        and max(one[1], other[1]) < min(one[3], other[3])
    ]
    assert not covering


def test_detection_sheet_takes_images_of_different_sizes() -> None:
    images = [np.zeros((64, 64, 3), np.uint8), np.zeros((600, 1000, 3), np.uint8)]
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert detection_sheet(images, [target()] * 2, [none] * 2, ["a"]).ndim == 3


@pytest.mark.parametrize("size", [(4000, 2), (2, 4000), (3000, 20), (1, 1), (13, 30_000)])
def test_narrow_images_take_no_more_than_a_tile(size: tuple[int, int]) -> None:
    """4000x2 pixels were enlarged to 896,000x448, and more than 32,767 are too many for OpenCV."""
    image, mask = np.full((*size, 3), 99, np.uint8), torch.zeros(size, dtype=torch.uint8)
    box = torch.tensor([[0.0, 0, size[1], size[0]]])
    truth = BoxTarget(box, torch.tensor([0]), 1, size)
    found = Detections(box, torch.tensor([0.9]), torch.tensor([0]))
    sheets = [
        detection_sheet([image] * 2, [truth] * 2, [found] * 2, ["a"]),
        segmentation_sheet([image], [mask], [mask], ["a"]),
        classification_sheet([image], [Answer("cat", "dog", 0.9)]),
    ]
    assert all(sheet.nbytes < 10_000_000 for sheet in sheets)
    prediction = Prediction(
        "detection", image, ("a",), boxes=box.numpy(), scores=np.ones(1), labels=np.zeros(1, int)
    )
    assert prediction.draw().shape == image.shape
    assert Prediction("segmentation", image, ("a",), label_map=mask.numpy()).draw().shape == image.shape


def test_classification_sheet_frames_right_and_wrong_answers() -> None:
    images = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    answers = [Answer("cat", "cat", 0.9), Answer("cat", "dog", 0.5), Answer("owl", "dog", 0.4)]
    sheet = classification_sheet(images, answers)
    frame = count(classification_sheet(images[:1], answers[:1]), TRUTH_COLOR)
    swatch = count(classification_sheet(images[1:], answers[1:]), TRUTH_COLOR)
    assert frame - swatch == 464**2 - 448**2
    assert count(sheet, TRUTH_COLOR) == frame
    assert count(sheet, PREDICTION_COLOR) == swatch + 2 * (464**2 - 448**2)


def test_segmentation_sheet_has_a_row_an_image_and_the_colors_of_its_legend() -> None:
    names = ["background", "circle", "star"]
    masks = [torch.full((32, 32), 2, dtype=torch.uint8), torch.full((50, 40), 255, dtype=torch.uint8)]
    sheet = segmentation_sheet(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), masks, masks, names)
    assert count(sheet, palette_for(names)[2]) > 400 * 400
    assert sheet.shape[0] > 2 * 400 and sheet.shape[1] > 3 * 400


def test_palette_gives_black_to_the_background_only() -> None:
    assert palette_for(["background", "a"]) == ((0, 0, 0), palette_for(["a"])[0])
    assert len(palette_for(["x"] * 100)) == 100


def test_curves_skip_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(CSV, encoding="utf-8")
    curves = read_curves(path)
    assert curves["train/box_loss"].values.tolist() == [1.0, 0.5]
    assert curves["train/loss"].steps.tolist() == [0.0] and curves["val/AP"].values.tolist() == [0.25]
    assert set(curves) == {"train/box_loss", "train/loss", "val/AP", "lr-SGD"}
    panels = _group({**curves, "val/AP_small": curves["val/AP"], "val/AR_1": curves["val/AP"]})
    assert set(panels["validation"]) == {"AP"}, "twelve lines are too many"


@pytest.mark.parametrize("content", [CSV, "epoch,step\n"])
def test_curves_are_drawn_even_when_nothing_was_logged(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content, encoding="utf-8")
    plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    with PillowImage.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"


def test_smoothing_keeps_a_constant_and_the_length() -> None:
    np.testing.assert_allclose(smooth(np.full(500, 3.0)), 3.0)
    assert smooth(np.zeros(0)).shape == (0,)
