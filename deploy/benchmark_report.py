"""Measurements as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pocketvision.core.files import replacing
from pocketvision.deploy.benchmark import Measurement

_MEGABYTE = 1e6


def benchmark_table(rows: Sequence[Measurement]) -> str:
    """A line a measurement, in milliseconds a call."""
    width = max(len("model"), *(len(row.name) for row in rows)) + 2
    header = (
        f"{'model':<{width}}{'backend':<10}{'threads':>8}{'batch':>7}{'size':>11}{'median':>10}{'p90':>9}"
        f"{'first':>9}{'images/s':>10}{'MB':>8}"
    )
    return "\n".join([header, *(_line(row, width) for row in rows), "median, p90 and first answer: ms"])


def _line(row: Measurement, width: int) -> str:
    size = f"{row.image_size[0]}x{row.image_size[1]}"
    megabytes = "" if row.num_bytes is None else f"{row.num_bytes / _MEGABYTE:.2f}"
    return (
        f"{row.name:<{width}}{row.backend:<10}{row.threads:>8}{row.batch_size:>7}{size:>11}"
        f"{row.median * 1e3:>10.1f}{row.p90 * 1e3:>9.1f}{row.cold_start * 1e3:>9.0f}"
        f"{row.images_per_second:>10.1f}{megabytes:>8}"
    )


def benchmark_json(rows: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Everything, in seconds and bytes."""
    return [{**asdict(row), "images_per_second": row.images_per_second} for row in rows]


def benchmark_picture(rows: Sequence[Measurement], path: Path, budget: float | None = None) -> None:
    """A bar a measurement with its p90; ``budget`` (seconds) is a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    medians = [row.median * 1e3 for row in rows]
    tails = [(row.p90 - row.median) * 1e3 for row in rows]
    labels = [f"{row.name}, {row.backend}, threads {row.threads}, batch {row.batch_size}" for row in rows]
    axes.barh(labels, medians, xerr=[[0.0] * len(rows), tails], color="#0072B2", ecolor="#555555", capsize=3)
    for index, value in enumerate(medians):
        axes.annotate(f"  {value:.1f} ms", (value + tails[index], index), va="center", fontsize=8)
    if budget is not None:
        axes.axvline(budget * 1e3, color="#D55E00", linestyle="--")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds a call: median, and what nine of ten calls stay below")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix.removeprefix(".") or "png")
