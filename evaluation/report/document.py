"""An evaluation as one HTML page: numbers, curves and pictures, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pocketvision.core.page import Cells, write_page
from pocketvision.core.page import Section as Section
from pocketvision.metrics.bootstrap import LEVEL

_COLUMNS = {
    "num_truth": "num_truth: boxes to be found, without crowds.",
    "threshold": "threshold: detections with this score or more have the highest F1 at IoU 0.5; F1, "
    "precision and recall are theirs.",
    "num_pixels": "num_pixels: pixels of the truth.",
}
"""What the names of the table of all classes don't say."""


def write_report(
    path: Path,
    subject: str,
    metrics: dict[str, Any],
    sections: Sequence[Section],
    about: Sequence[Section] = (),
) -> None:
    """Write the page: what was scored (``subject``), the metrics, ``sections``, a table of all classes, and
    ``about`` where the model comes from."""
    scored = (
        f"Scored: {subject}, on the {metrics['num_images']} images of {metrics['split']}, in "
        f"{metrics['seconds']:.0f} s. All files: {path.parent.absolute()}."
    )
    title = f"Scores on {metrics['split']}"
    write_page(path, title, [_totals(metrics, scored), *sections, *_classes(metrics), *about])


def shown(value: Any) -> str:
    """A value of metrics.json as text."""
    return "n/a" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def table_of(rows: dict[str, dict[str, Any]], head: str) -> list[Cells]:
    """Rows of values by name, below a head."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return [(head, *columns), *((name, *(shown(row.get(c)) for c in columns)) for name, row in rows.items())]


def _totals(metrics: dict[str, Any], scored: str) -> Section:
    rows: list[Cells] = [("metric", "value", f"{LEVEL:.0%} interval")]
    for name, value in metrics.items():
        is_score = name != "seconds" and (value is None or isinstance(value, float))
        if is_score and not name.endswith(("_ci_low", "_ci_high")):
            low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
            rows.append((name, shown(value), "" if low is None else f"{shown(low)} to {shown(high)}"))
    text = f"{scored} n/a: there is nothing that it could be measured on; such values are left out of means."
    if "num_resamples" in metrics:
        text += f" Intervals: bootstrap over the images, {metrics['num_resamples']} resamples."
    return Section("Metrics", text, rows)


def _classes(metrics: dict[str, Any]) -> list[Section]:
    rows = metrics["per_class"]
    columns = {column for row in rows.values() for column in row}
    text = " ".join(meaning for column, meaning in _COLUMNS.items() if column in columns)
    sections = [Section("All classes", text, table_of(rows, "class"))]
    if "per_category" in metrics:
        sections.append(Section("Categories", table=table_of(metrics["per_category"], "category")))
    return sections
