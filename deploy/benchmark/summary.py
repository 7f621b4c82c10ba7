"""Measurements as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketvision.core.files import replacing
from pocketvision.deploy.benchmark.latency import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEGABYTE = 1e6


def benchmark_table(rows: Sequence[Measurement]) -> str:
    """A line a measurement, in milliseconds a call and megabytes."""
    width = max(len("model"), *(len(row.name) for row in rows)) + 2
    header = (
        f"{'model':<{width}}{'backend':<10}{'threads':>8}{'batch':>7}{'size':>11}{'median':>10}{'p90':>9}"
        f"{'first':>9}{'images/s':>10}{'file':>8}{'memory':>8}"
    )
    note = "median, p90 and first answer: ms; file and memory: MB"
    if any(row.peak_memory is not None for row in rows):
        note += "; memory is what a fresh process adds at its peak"
    return "\n".join([header, *(_line(row, width) for row in rows), note])


def _line(row: Measurement, width: int) -> str:
    size = f"{row.image_size[0]}x{row.image_size[1]}"
    file = "" if row.num_bytes is None else f"{row.num_bytes / _MEGABYTE:.2f}"
    memory = "" if row.peak_memory is None else f"{row.peak_memory / _MEGABYTE:.0f}"
    return (
        f"{row.name:<{width}}{row.backend:<10}{row.threads:>8}{row.batch_size:>7}{size:>11}"
        f"{row.median * 1e3:>10.1f}{row.p90 * 1e3:>9.1f}{row.cold_start * 1e3:>9.0f}"
        f"{row.images_per_second:>10.1f}{file:>8}{memory:>8}"
    )


def benchmark_json(rows: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Everything, in seconds and bytes."""
    return [{**asdict(row), "images_per_second": row.images_per_second} for row in rows]


def benchmark_picture(rows: Sequence[Measurement], path: Path, budget: float | None = None) -> None:
    """A bar a measurement with its p90, beside it one for memory; ``budget`` (seconds) is a line."""
    from matplotlib.figure import Figure

    has_memory = any(row.peak_memory is not None for row in rows)
    figure = Figure(figsize=(12 if has_memory else 9, 1.2 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 1 + has_memory, squeeze=False, sharey=True)[0]
    _draw_latency(panels[0], rows, budget)
    if has_memory:
        values = [(row.peak_memory or 0) / _MEGABYTE for row in rows]
        texts = ["" if row.peak_memory is None else f" {row.peak_memory / _MEGABYTE:.0f} MB" for row in rows]
        bars = panels[1].barh(range(len(rows)), values, color="#E69F00")
        panels[1].bar_label(bars, texts, fontsize=8)
        panels[1].margins(x=0.2)
        panels[1].set_xlabel("MB that a fresh process adds at its peak")
    panels[0].invert_yaxis()  # of both: they share it
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix.removeprefix(".") or "png")


def _draw_latency(axes: Axes, rows: Sequence[Measurement], budget: float | None) -> None:
    medians = [row.median * 1e3 for row in rows]
    tails = [(row.p90 - row.median) * 1e3 for row in rows]
    places = range(len(rows))
    axes.barh(places, medians, xerr=[[0.0] * len(rows), tails], color="#0072B2", ecolor="#555555", capsize=3)
    axes.set_yticks(places, [_label(row) for row in rows])
    for index, value in enumerate(medians):
        axes.annotate(f"  {value:.1f} ms", (value + tails[index], index), va="center", fontsize=8)
    if budget is not None:
        axes.axvline(budget * 1e3, color="#D55E00", linestyle="--")
    axes.margins(x=0.2)
    axes.set_xlabel("ms a call: median and 90th percentile")


def _label(row: Measurement) -> str:
    size = f"{row.image_size[0]}x{row.image_size[1]}"
    return f"{row.name} {size}, {row.backend}, threads {row.threads}, batch {row.batch_size}"
