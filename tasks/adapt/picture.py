"""The path of a search as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pocketvision.core.files import replacing
from pocketvision.tasks.adapt.path import Stop

_BLUE, _ORANGE, _GRAY = "#0072B2", "#E69F00", "#BBBBBB"


def path_picture(stops: Sequence[Stop], path: Path) -> None:
    """Latency against loss from the first network to the last; below, the widths of every block."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout="constrained")
    way, expanded, out = figure.subplots(3, 1, height_ratios=(1.3, 1, 1))
    times = [stop.seconds * 1e3 for stop in stops]
    losses = [stop.loss for stop in stops]
    way.plot(times, losses, color=_BLUE, marker="o", markersize=4)
    for number in {0, len(stops) - 1}:
        place = times[number], losses[number]
        text = way.annotate(f"{place[0]:.2f} ms", place, (0, -6), textcoords="offset points", fontsize=9)
        text.set(horizontalalignment="center", verticalalignment="top")
    way.margins(x=0.1, y=0.15)
    way.invert_xaxis()
    way.set_xlabel("predicted latency (ms), from the first network to the last")
    way.set_ylabel("loss on held-out training images")
    first, last = np.array(stops[0].widths), np.array(stops[-1].widths)
    for axes, part, title in ((expanded, 0, "expanded width"), (out, 1, "output width")):
        places = np.arange(len(first))
        axes.bar(places, first[:, part], color=_GRAY, label="before")
        axes.bar(places, last[:, part], color=_ORANGE, width=0.5, label="after")
        axes.set_xticks(places)
        axes.set_xlabel("block")
        axes.set_ylabel(title)
        axes.legend(loc="upper left")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
