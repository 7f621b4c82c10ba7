"""Is one model better than another, or was the split lucky? Two evaluations of the same images, paired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.terminal import printable
from pocketvision.evaluation.per_image_results import ScoredImages, read_images
from pocketvision.metrics.bootstrap import LEVEL, NUM_RESAMPLES, Difference, differences

_MAX_ROWS = 10
_METRICS = ("AP", "AP50", "AP_small", "AP_medium", "AP_large", "mIoU", "top1")


class ImageChange(NamedTuple):
    """An image and how the models score it: F1 of boxes, mean IoU, or 1 for the right class."""

    file_name: str
    image_id: int
    score_a: float
    score_b: float


class PairedComparison(NamedTuple):
    """Metric -> (A's value, B's, their difference), and the images by how much B gained."""

    split: str
    num_images: int
    metrics: dict[str, tuple[float, float, Difference]]
    changes: list[ImageChange]


def compare(
    a: Path, b: Path, split: str | None = None, num_resamples: int = NUM_RESAMPLES
) -> PairedComparison:
    """Compare what ``eval`` or ``train`` left of two models, by a paired bootstrap over the images.

    ``a`` and ``b`` are run folders or folders of results; with ``split``, run folders that were scored on it.

    Raises:
        InputError: results are missing, are of different images, truth, classes or tasks, or of too few
            images for a test.
    """
    folders = results_folder(a, split), results_folder(b, split)
    metrics_a, metrics_b = (read_metrics(folder) for folder in folders)
    if metrics_a["split"] != metrics_b["split"]:
        raise InputError(
            f"{folders[0]} was scored on {metrics_a['split']}, {folders[1]} on {metrics_b['split']}: "
            "score both on one split."
        )
    images_a, images_b = (read_images(folder) for folder in folders)
    _check_same_truth(images_a, images_b, folders)
    found = differences(images_a.resampled(), images_b.resampled(), num_resamples)
    rows = {
        name: (metrics_a[name], metrics_b[name], found[name])
        for name in _METRICS
        if name in found and metrics_a.get(name) is not None
    }
    if not rows:
        raise InputError(
            f"{folders[0]} and {folders[1]} can't be compared: a test takes two images or more, and "
            "something to find in them."
        )
    return PairedComparison(metrics_a["split"], len(images_a.image_ids), rows, _changes(images_a, images_b))


def results_folder(folder: Path, split: str | None) -> Path:
    """The folder with results on ``split`` of a run: itself, or else the newest of its ``eval_*``.

    Raises:
        InputError: there is none.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give a run, or a folder that eval wrote.")
    candidates = [folder, *sorted(folder.glob("eval_*"), key=lambda path: path.stat().st_mtime, reverse=True)]
    scored = [path for path in candidates if (path / "metrics.json").is_file()]
    for path in scored:
        if split is None or read_metrics(path)["split"] == split:
            return path
    wanted = "" if split is None else f" on {split}"
    option = "" if split is None else f" --split {split}"
    raise InputError(f"{folder} has no results{wanted}: make them with pocketvision eval {folder}{option}.")


def comparison_text(comparison: PairedComparison, names: tuple[str, str]) -> str:
    """Tables of the metrics and of the images lost and gained most."""
    heading = (
        f"A  {names[0]}\nB  {names[1]}\n{comparison.num_images} images of {comparison.split}; intervals of "
        f"{LEVEL:.0%} and p-values from a paired bootstrap over the images\n"
    )
    lines = [heading, f"{'':<10}{'A':>10}{'B':>10}{'B - A':>10}   interval              p"]
    for name, (a, b, (value, low, high, p_value)) in comparison.metrics.items():
        interval = f"{low:+.4f} to {high:+.4f}"
        verdict = "different" if low > 0 or high < 0 else "no difference shown"
        values = f"{name:<10}{a:>10.4f}{b:>10.4f}{value:>+10.4f}"
        lines.append(f"{values}   {interval:<20}{p_value:>7.4f}  {verdict}")
    changed = [row for row in comparison.changes if row.score_a != row.score_b]
    gained = [row for row in changed if row.score_b > row.score_a]
    lost = [row for row in reversed(changed) if row.score_b < row.score_a]
    equal = comparison.num_images - len(changed)
    lines.append(
        f"\nimages: B gains {len(gained)}, loses {len(lost)}, {equal} are equal (by F1, mean IoU or top-1)"
    )
    for title, rows in (("gained most", gained), ("lost most", lost)):
        lines += _image_lines(title, rows[:_MAX_ROWS])
    return "\n".join(lines)


def _image_lines(title: str, rows: Sequence[ImageChange]) -> list[str]:
    if not rows:
        return []
    names = [printable(row.file_name) for row in rows]
    width = max(map(len, names)) + 2
    lines = [f"\n{title}".ljust(width + 1) + f"{'A':>8}{'B':>8}{'B - A':>8}"]
    return lines + [
        f"{name:<{width}}{row.score_a:>8.3f}{row.score_b:>8.3f}{row.score_b - row.score_a:>+8.3f}"
        for name, row in zip(names, rows, strict=True)
    ]


def _changes(a: ScoredImages, b: ScoredImages) -> list[ImageChange]:
    """Images by gain, the largest first; one that only one model finds anything in counts as 0 for it."""
    scores_a, scores_b = a.image_scores(), b.image_scores()
    defined = np.flatnonzero(~(np.isnan(scores_a) & np.isnan(scores_b)))
    # Without boxes, nothing found is all right.
    before, after = (np.nan_to_num(scores[defined], nan=1.0) for scores in (scores_a, scores_b))
    order = np.argsort(before - after, kind="stable")
    columns: tuple[npt.NDArray[Any], ...] = (a.file_names[defined], a.image_ids[defined], before, after)
    return [ImageChange(*row) for row in zip(*(column[order].tolist() for column in columns), strict=True)]


def _check_same_truth(a: ScoredImages, b: ScoredImages, folders: tuple[Path, Path]) -> None:
    where = f"{folders[0]} and {folders[1]}"
    if type(a) is not type(b):
        raise InputError(f"{where} are of different tasks: only models of one task can be compared.")
    if a.class_names.tolist() != b.class_names.tolist():
        raise InputError(f"{where} were scored on different classes: compare models of the same classes.")
    if not np.array_equal(a.image_ids, b.image_ids) or not a.has_truth_of(b):  # type: ignore[arg-type]
        raise InputError(f"{where} are of different images or annotations: score both on the same data.")


def read_metrics(folder: Path) -> dict[str, Any]:
    """The numbers in a folder that :func:`results_folder` found.

    Raises:
        InputError: the file is broken.
    """
    path = folder / "metrics.json"
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is broken ({error}): score it again with pocketvision eval.") from error
    return metrics
