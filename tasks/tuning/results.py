"""What came of a sweep: a line a trial, a table, a picture, and the best trial."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketvision.core.files import replacing, write_json
from pocketvision.core.progress import clock_text
from pocketvision.tasks.tuning.plan import SweepPlan
from pocketvision.tasks.tuning.space import Dimension, Range
from pocketvision.tasks.tuning.trial import METRIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna import Study

REASON = "reason"
TABLE, RECORDS, PICTURE = "trials.csv", "trials.json", "trials.png"
_WORDS = {
    "COMPLETE": "finished", "PRUNED": "stopped early", "FAIL": "failed", "RUNNING": "interrupted",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: its ``score`` is the last one where it was stopped, None without one.

    ``values`` are overrides, ``epochs`` those after which it was scored last, ``run`` its run folder.
    """

    number: int
    state: str
    metric: str
    score: float | None
    values: tuple[str, ...]
    epochs: int | None
    seconds: float | None
    run: Path
    reason: str

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.state == _WORDS["COMPLETE"]

    @property
    def scored(self) -> str:
        """Its score as text, or why it has none."""
        return f"{self.metric} {self.score:.4f}" if self.score is not None else self.reason or "no score"


def outcomes(folder: Path, study: Study) -> list[Outcome]:
    """Every trial that was begun, in order; Optuna's numbers are the names of their run folders."""
    return [
        Outcome(
            trial.number,
            _WORDS[trial.state.name],
            str(trial.user_attrs.get(METRIC, "score")),
            trial.value if trial.state.name == "COMPLETE" else _last(trial.intermediate_values),
            tuple(trial.user_attrs.get("values", ())),
            max(trial.intermediate_values, default=None),
            None if trial.duration is None else trial.duration.total_seconds(),
            folder / "trials" / str(trial.number),
            " ".join(str(trial.user_attrs.get(REASON, "")).split()),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in _WORDS
    ]


def _last(scores: dict[int, float]) -> float | None:
    return scores[max(scores)] if scores else None


def best_of(found: Sequence[Outcome]) -> Outcome | None:
    """The trial with the highest score of those that were trained to their end."""
    finished = [outcome for outcome in found if outcome.is_finished and outcome.score is not None]
    return max(finished, key=lambda outcome: outcome.score or 0.0, default=None)


def progress_line(found: Sequence[Outcome], outcome: Outcome, seconds_left: float) -> str:
    """What is said of a trial when it ends."""
    best = best_of(found)
    how = "" if outcome.is_finished else f", {outcome.state}"
    how += f" after epoch {outcome.epochs}" if how and outcome.epochs else ""
    so_far = "no trial has finished" if best is None else f"best {best.score:.4f} of trial {best.number}"
    words = " ".join(outcome.values)
    return (
        f"trial {outcome.number}: {outcome.scored}{how}, {words} ({so_far}, {clock_text(seconds_left)} left)"
    )


def write_results(folder: Path, found: Sequence[Outcome], plan: SweepPlan) -> None:
    """Write the table, as CSV and as JSON, and the picture."""
    rows = [_row(outcome) for outcome in found]
    best = best_of(found)
    record = {
        "metric": found[0].metric,
        "best": None if best is None else best.number,
        "train": None if best is None else plan.train_command(best.values),
        "trials": rows,
    }
    write_json(folder / RECORDS, record)
    with replacing(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    plot_trials(found, plan.dimensions, folder / PICTURE)


def _row(outcome: Outcome) -> dict[str, Any]:
    """A trial as the table has it: what was searched comes by its keys."""
    seconds = None if outcome.seconds is None else round(outcome.seconds, 1)
    return {
        "trial": outcome.number, "state": outcome.state, "score": outcome.score, "epochs": outcome.epochs,
        "seconds": seconds, **_by_key(outcome), "run": str(outcome.run), REASON: outcome.reason,
    }  # fmt: skip


def _by_key(outcome: Outcome) -> dict[str, str]:
    return {key: value for key, _, value in (word.partition("=") for word in outcome.values)}


def plot_trials(found: Sequence[Outcome], space: dict[str, Dimension], output: Path) -> None:
    """Draw score against every key that was searched, one panel each; what was stopped early is hollow."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = [outcome for outcome in found if outcome.score is not None]
    figure = Figure(figsize=(1 + 4.2 * len(space), 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    first: Axes | None = None
    for index, (key, dimension) in enumerate(space.items(), start=1):
        axes = figure.add_subplot(1, len(space), index, sharey=first)
        first = first or axes
        _draw_panel(axes, key, dimension, scored)
    if first is not None and scored:
        first.set_ylabel(f"{scored[0].metric} on the validation split")
        first.set_ylim(bottom=0)
        figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    with replacing(output) as temporary:
        figure.savefig(temporary, format="png")


def _draw_panel(axes: Axes, key: str, dimension: Dimension, scored: Sequence[Outcome]) -> None:
    best = best_of(scored)
    groups = (
        (
            "stopped early",
            {"facecolors": "none", "edgecolors": "C0"},
            [o for o in scored if not o.is_finished],
        ),
        ("finished", {"color": "C0"}, [o for o in scored if o.is_finished and o is not best]),
        ("best", {"color": "C3", "marker": "*", "s": 140}, [] if best is None else [best]),
    )
    if not isinstance(dimension, Range):
        axes.set_xticks(range(len(dimension.words)), dimension.words)
        axes.set_xlim(-0.5, len(dimension.words) - 0.5)
    for label, look, members in groups:
        texts = [_by_key(outcome)[key] for outcome in members]
        places = [dimension.position(text) for text in texts]
        axes.scatter(places, [outcome.score or 0.0 for outcome in members], label=label, zorder=3, **look)
    if isinstance(dimension, Range) and dimension.is_log:
        axes.set_xscale("log")
    axes.set_xlabel(key)
    axes.grid(alpha=0.3)
