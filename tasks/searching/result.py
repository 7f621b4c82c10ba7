"""What comes of a search: an ordinary config, the command that trains it, and a picture of all candidates."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketvision.backbones.forms import BlockForm
from pocketvision.core.files import replacing
from pocketvision.tasks.adapt.proposals import Table
from pocketvision.tasks.adapt.result import AdaptedSource, copy_config
from pocketvision.tasks.searching.evolution import Scored

_TEXT = '''"""{stem} with the blocks that ``search`` found: {about}."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from {stem} import config as base

# (expanded, out) of every block of the backbone.
WIDTHS = (
{widths}
)
# (kernel size, squeeze-and-excitation, activation) of every block.
FORMS = (
{forms}
)

config = replace(base, model=partial(base.model, widths=WIDTHS, forms=FORMS))
'''
_COLORS = ("#BBBBBB", "#0072B2", "#009E73")
_ORANGE = "#E69F00"


def write_searched(
    folder: Path, source: AdaptedSource, widths: Table, forms: Sequence[BlockForm], about: str
) -> Path:
    """Write the config of the network that was found, with the config that it is a variant of.

    Raises:
        InputError: the name of the config's file can't be imported.
    """
    stem = copy_config(folder, source).stem
    rows = ["\n".join(f"    {tuple(row)!r}," for row in table) for table in (widths, forms)]
    text = _TEXT.format(stem=stem, about=about, widths=rows[0], forms=rows[1].replace("'", '"'))
    searched = folder / f"searched_{stem}.py"
    searched.write_text(text, encoding="utf-8")
    return searched


def train_command(config: Path, source: AdaptedSource, weights: Path) -> str:
    """The command that trains a found network fully, from its part of the shared weights."""
    words = {word.partition("=")[0]: word for word in source.overrides}
    words["model.weights"] = f"model.weights={str(weights)!r}"
    return shlex.join(["pocketvision", "train", str(config), *words.values()])


def front(history: Sequence[Scored]) -> list[Scored]:
    """The candidates than which none is both as fast and better, from the fastest on."""
    found: list[Scored] = []
    for row in sorted(history, key=lambda row: (row.seconds, -row.score)):
        if not found or row.score > found[-1].score:
            found.append(row)
    return found


def search_picture(
    several: Mapping[str, Sequence[Scored]], chosen: Scored, target: float, path: Path
) -> None:
    """Latency against score of all candidates, by name; the Pareto front and the one that was chosen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for (name, rows), color in zip(several.items(), _COLORS, strict=False):
        times, scores = [row.seconds * 1e3 for row in rows], [row.score for row in rows]
        axes.scatter(times, scores, s=18, color=color, label=name)
    best = front([row for rows in several.values() for row in rows])
    steps = ([row.seconds * 1e3 for row in best], [row.score for row in best])
    axes.step(*steps, where="post", color=_ORANGE, label="Pareto front")
    axes.axvline(target * 1e3, color="black", linestyle=":", label="target")
    place = ([chosen.seconds * 1e3], [chosen.score])
    axes.scatter(*place, s=140, color=_ORANGE, edgecolors="black", marker="*", label="chosen", zorder=3)
    axes.set_xlabel("predicted latency (ms)")
    axes.set_ylabel("score on held-out training images, shared weights")
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
