"""The curves of a training run, from Lightning's metrics.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Floats = npt.NDArray[np.float64]

_NUM_SMOOTHED = 50


class Curve(NamedTuple):
    """One column where it has values: steps (T,) and values (T,)."""

    steps: _Floats
    values: _Floats


def plot_curves(metrics_csv: Path, output: Path) -> None:
    """Draw losses, validation metrics and learning rate over the steps, one panel each, into ``output``.

    Panels without any value are left out; without a single one the picture says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for panel in _group(read_curves(metrics_csv)).items() if panel[1]]
    figure = Figure(figsize=(5.5 * max(1, len(panels)), 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for i, (title, curves) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), i)
        _draw_panel(axes, title, curves)
    if not panels:
        figure.text(0.5, 0.5, "No metric was logged yet.", ha="center")
    kind = output.suffix.lower().removeprefix(".") or "png"
    with replacing(output) as temporary:
        figure.savefig(temporary, format=kind)


def read_curves(metrics_csv: Path) -> dict[str, Curve]:
    """Columns of a metrics.csv by name; cells that are empty, not numbers or not finite are skipped."""
    points: dict[str, list[tuple[float, float]]] = {}
    with metrics_csv.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = _number(row.get("step"))
            for name, cell in row.items():
                value = _number(cell)
                if name not in ("step", "epoch") and np.isfinite(step) and np.isfinite(value):
                    points.setdefault(name, []).append((step, value))
    return {name: Curve(*np.array(pairs, dtype=np.float64).T) for name, pairs in points.items()}


def _number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return float("nan")


def _group(curves: dict[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Panels by title: Lightning calls the rate "lr" or "lr-SGD", and a loss may be logged twice.

    COCO's numbers by size and its recalls are left to the table: twelve lines can't be told apart.
    """
    panels: dict[str, dict[str, Curve]] = {"training loss": {}, "validation": {}, "learning rate": {}}
    for name, curve in curves.items():
        if name.startswith("train/") and not name.endswith(("_epoch", "/lr")):
            panels["training loss"][name.removeprefix("train/")] = curve
        elif name.startswith("val/") and not name.startswith(("val/AP_", "val/AR_")):
            panels["validation"][name.removeprefix("val/")] = curve
        elif name.rpartition("/")[2].partition("-")[0] in ("lr", "learning_rate"):
            panels["learning rate"][name] = curve
    return panels


def _draw_panel(axes: Axes, title: str, curves: dict[str, Curve]) -> None:
    from matplotlib.ticker import LogLocator

    for name, (steps, values) in curves.items():
        if title == "training loss":
            line = axes.plot(steps, values, alpha=0.25, linewidth=0.8)[0]
            axes.plot(steps, smooth(values), color=line.get_color(), label=name, linewidth=1.6)
        else:
            marker = "o" if title == "validation" else ""
            axes.plot(steps, values, label=name, linewidth=1.6, marker=marker, markersize=3)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if title == "validation":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    elif title == "training loss" and all((curve.values > 0).all() for curve in curves.values()):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            set_formatter("{x:g}")
    if title != "learning rate" or len(curves) > 1:
        axes.legend()


def smooth(values: _Floats) -> _Floats:
    """Exponential moving average (T,) over about a fiftieth of the curve, without a bias at the start."""
    keep = max(0.0, 1 - _NUM_SMOOTHED / max(1, len(values)))
    result = np.empty_like(values)
    total = weight = 0.0
    for i, value in enumerate(values):
        total, weight = keep * total + value, keep * weight + 1
        result[i] = total / weight
    return result
