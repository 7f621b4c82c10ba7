"""The picture of a sweep, as figure 5 of arXiv:1801.04381 and figure 1 of arXiv:1905.02244."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pocketvision.core.files import replacing
from pocketvision.deploy.benchmark.nets import IMAGE_SIZE, value_text
from pocketvision.deploy.benchmark.trade_off import TradeOff, metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MARKERS = "osD^vPX*<>"
_DASHES: tuple[tuple[float, tuple[float, ...]], ...] = ((0, ()), (0, (5, 2)), (0, (1, 1)), (0, (5, 2, 1, 2)))
"""Off and on, in points: of the lines of the first config, the second ..."""
_FINE, _COARSE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0)
"""What is written on an axis, times powers of ten: where it ends at a few times its beginning, or at more."""
_WIDE = 12.0
"""End over beginning of an axis with few numbers."""
_LAST_COLOR = 0.85
"""Of the color map, whose end is too light on white."""


class _Axis(NamedTuple):
    """What is drawn along an axis."""

    label: str
    value: Callable[[TradeOff], float]


class _Look(NamedTuple):
    """How lines and points are told apart: by config, by the values of ``keys``, by that of ``marked``."""

    configs: list[str]
    keys: list[str]
    lines: list[tuple[str, ...]]
    marked: str | None
    marks: list[str]

    def line_of(self, row: TradeOff) -> tuple[str, ...]:
        return tuple(value_text(row.net.arguments[key]) for key in self.keys)

    def mark_of(self, row: TradeOff) -> str:
        return "" if self.marked is None else value_text(row.net.arguments[self.marked])


def sweep_picture(rows: Sequence[TradeOff], path: Path, budget: float | None = None) -> None:
    """Score, or multiply-adds where no net has one, against latency in every setting.

    Scores are drawn against multiply-adds and parameters too. There is a line for each value but of the
    image size, for which there is a marker. ``budget`` (seconds) is an upright line.
    """
    from matplotlib.figure import Figure

    look = _look(rows)
    panels = list(_panels(rows))
    figure = Figure(figsize=(1.5 + 4.5 * len(panels), 4.8), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, across, up, own) in zip(places, panels, strict=True):
        if budget is not None and title:
            axes.axvline(budget * 1e3, color="#D55E00", linestyle="--")
        _draw(axes, own, across, up, look)
        axes.set_title(title, fontsize=10)
    figure.legend(handles=list(_legend(look)), loc="outside right upper", frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _panels(rows: Sequence[TradeOff]) -> Iterator[tuple[str, _Axis, _Axis, list[TradeOff]]]:
    """Title, both axes and the points of each panel; one that is not about time has no title."""
    metric = metric_of(rows)
    madds = _Axis("million multiply-adds", lambda row: row.net.madds / 1e6)
    params = _Axis("million parameters", lambda row: row.net.params / 1e6)
    score = madds if metric is None else _Axis(metric, lambda row: row.score or 0.0)
    drawn = [row for row in rows if metric is None or row.score is not None]
    for setting in dict.fromkeys(row.setting for row in drawn):
        own = [row for row in drawn if row.setting == setting]
        yield setting, _Axis("ms a call, median", lambda row: row.measured.median * 1e3), score, own
    if metric is not None:
        for axis in (madds, params):
            yield "", axis, score, own


def _look(rows: Sequence[TradeOff]) -> _Look:
    texts = {key: [value_text(row.net.arguments[key]) for row in rows] for key in rows[0].net.arguments}
    varied = [key for key, values in texts.items() if len(set(values)) > 1]
    marked = IMAGE_SIZE if IMAGE_SIZE in varied else next(reversed(varied), None)
    keys = [key for key in varied if key != marked]
    lines = list(dict.fromkeys(zip(*(texts[key] for key in keys), strict=True))) or [()]
    marks = [] if marked is None else list(dict.fromkeys(texts[marked]))
    return _Look(list(dict.fromkeys(row.net.config for row in rows)), keys, lines, marked, marks)


def _color(look: _Look, line: tuple[str, ...]) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    place = look.lines.index(line) / max(1, len(look.lines) - 1)
    return to_hex(colormaps["viridis"](_LAST_COLOR * place))


def _draw(axes: Axes, rows: Sequence[TradeOff], across: _Axis, up: _Axis, look: _Look) -> None:
    for number, config in enumerate(look.configs):
        for line in look.lines:
            own = [row for row in rows if row.net.config == config and look.line_of(row) == line]
            x, y = [across.value(row) for row in own], [up.value(row) for row in own]
            color, dashes = _color(look, line), _DASHES[number % len(_DASHES)]
            axes.plot(x, y, color=color, linestyle=dashes)
            for row, *place in zip(own, x, y, strict=True):
                axes.plot(*place, color=color, marker=_marker(look, look.mark_of(row)), markersize=7)
    axes.set_xlabel(across.label)
    axes.set_ylabel(up.label)
    axes.grid(alpha=0.3)
    _by_logarithm(axes, "x")
    if up.label.startswith("million"):
        _by_logarithm(axes, "y")


def _by_logarithm(axes: Axes, which: str) -> None:
    """An axis by the logarithm, with numbers as they are said."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=_COARSE if high > _WIDE * low else _FINE))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def _marker(look: _Look, mark: str) -> str:
    return _MARKERS[look.marks.index(mark) % len(_MARKERS)] if look.marks else _MARKERS[0]


def _legend(look: _Look) -> Iterator[Line2D]:
    from matplotlib.lines import Line2D

    if len(look.configs) > 1:
        for number, config in enumerate(look.configs):
            yield Line2D([], [], color="black", linestyle=_DASHES[number % len(_DASHES)], label=config)
    for line in look.lines if look.keys else ():
        label = ", ".join(f"{key} {text}" for key, text in zip(look.keys, line, strict=True))
        yield Line2D([], [], color=_color(look, line), label=label)
    for mark in look.marks:
        marker, label = _marker(look, mark), f"{look.marked} {mark}"
        yield Line2D([], [], linestyle="", color="#555555", marker=marker, label=label)
