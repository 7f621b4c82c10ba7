"""Drawings of a report as PNG, in colors that people with any kind of color vision can tell apart."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pocketvision.core.drawing import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_BARS = 40
_MAX_CELLS = 30
_DPI = 90
_DASHES = (0, (3, 1.5))
_AXIS_NAME = 2.3
"""Inches that the name of the confusion's lower axis takes."""
_COLORS = tuple("#{:02x}{:02x}{:02x}".format(*PALETTE[i]) for i in (4, 5, 2, 6, 0, 1))
"""Lines on white: the yellow is left out."""
_BLUE = _COLORS[0]


def bars(values: Mapping[str, float | None], limits: tuple[float, float] | None = (0.0, 1.0)) -> bytes:
    """Horizontal bars, named and with their values, undefined ones left out; the 40 lowest of many."""
    defined = [(name, value) for name, value in values.items() if value is not None]
    if len(defined) > _MAX_BARS:
        defined = sorted(defined, key=lambda row: row[1])[:_MAX_BARS]
    figure = _figure(9, 1.1 + 0.26 * len(defined))
    axes = figure.add_axes((0.24, 0.5 / figure.get_figheight(), 0.66, 1 - 0.8 / figure.get_figheight()))
    places = np.arange(len(defined))[::-1]
    axes.barh(places, [value for _, value in defined], color=_BLUE, height=0.7)
    axes.set_yticks(places, [_short(name) for name, _ in defined])
    for place, (_, value) in zip(places, defined, strict=True):
        axes.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center")
    if limits is not None:
        axes.set_xlim(*limits)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def recall_curves(curves: Mapping[str, Sequence[float] | None]) -> bytes:
    """Precision (101,) at recalls 0 to 1 by class, thin, and over them the mean of several, dashed; six
    classes or fewer are named."""
    defined = {name: curve for name, curve in curves.items() if curve is not None}
    figure = _figure(9.5, 5)
    axes = figure.add_axes((0.08, 0.12, 0.68, 0.84))
    recalls = np.linspace(0, 1, 101)
    are_named = len(defined) <= len(_COLORS)
    for i, (name, curve) in enumerate(defined.items()):
        style = {"color": _COLORS[i], "label": _short(name)} if are_named else {"color": "0.75"}
        axes.plot(recalls, curve, linewidth=1.2, **style)  # type: ignore[arg-type]
    if len(defined) > 1:
        mean = np.mean(list(defined.values()), axis=0)
        axes.plot(recalls, mean, color="black", linewidth=2.5, linestyle=_DASHES, label="mean", zorder=3)
    if defined:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.01))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.grid(alpha=0.3)
    return _png(figure)


def confusion_picture(matrix: npt.NDArray[Any], names: Sequence[str]) -> bytes:
    """Counts by (true, predicted) class as shares of their row, whose sum stands beside its name; of many
    classes the 30 most confused."""
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(1, totals[:, None])
    if len(names) > _MAX_CELLS:
        errors = matrix.sum(axis=1) - np.diagonal(matrix)
        kept = np.sort(np.argsort(-errors, kind="stable")[:_MAX_CELLS])
        shares, totals, names = shares[np.ix_(kept, kept)], totals[kept], [names[i] for i in kept]
    cells = 0.4 * len(names)
    above = 0.3 + 0.085 * max(len(_short(name)) for name in names)
    right = max(0.3, 0.2 + (_AXIS_NAME - cells) / 2)
    width, height = 3 + cells + right, cells + 0.5 + above
    figure = _figure(width, height)
    axes = figure.add_axes((3 / width, 0.5 / height, cells / width, cells / height))
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (i, j), share in np.ndenumerate(shares):
        if share >= 0.005:
            color = "black" if share > 0.5 else "white"
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=8)
    labels = [f"{_short(name)} ({total:,})" for name, total in zip(names, totals.tolist(), strict=True)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=90)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("bottom")
    axes.set(xlabel="predicted (per cent of the row)", ylabel="truth")
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}..."
