"""The scores of runs, and which net of a sweep each run has trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from pocketvision.core.config import Experiment, value_at
from pocketvision.core.errors import InputError
from pocketvision.core.progress import track
from pocketvision.core.structures import Size
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.tables import readable
from pocketvision.deploy.benchmark.nets import SweptNet, value_text
from pocketvision.evaluation.compare import read_metrics, results_folder
from pocketvision.evaluation.joint_evaluator import MEAN_SCORE, METRICS
from pocketvision.models import VisionModel
from pocketvision.runs.build import build_model, refusing_bad_values
from pocketvision.runs.folder import Run


class ScoredRun(NamedTuple):
    """A run and how good its model is: ``score`` by ``metric`` on the images of ``split``."""

    folder: Path
    experiment: Experiment
    metric: str
    split: str
    score: float


def read_scored_runs(folders: Sequence[Path]) -> list[ScoredRun]:
    """Runs whose scores can be compared: of one metric, split and list of classes.

    Raises:
        InputError: they can't, or a folder is no run or has no score.
    """
    runs = [_read(folder) for folder in folders]
    for run in runs[1:]:
        for what in ("metric", "split"):
            if getattr(run, what) != getattr(runs[0], what):
                raise InputError(
                    f"{runs[0].folder} was scored by {runs[0].metric} on {runs[0].split}, {run.folder} by "
                    f"{run.metric} on {run.split}: a sweep compares runs of one metric and split."
                )
        if run.experiment.class_names != runs[0].experiment.class_names:
            raise InputError(
                f"{run.folder} has learned other classes than {runs[0].folder}: a sweep compares runs on the "
                "same data."
            )
    return runs


def _read(folder: Path) -> ScoredRun:
    experiment = Run.open(folder).load()
    results = results_folder(folder, None)
    metrics = read_metrics(results)
    metric = next((name for name in (MEAN_SCORE, *METRICS.values()) if metrics.get(name) is not None), None)
    if metric is None:
        raise InputError(f"{results / 'metrics.json'} has no score: make it with pocketvision eval {folder}.")
    return ScoredRun(folder, experiment, metric, str(metrics.get("split")), float(metrics[metric]))


def runs_of_nets(nets: Sequence[SweptNet], runs: Sequence[ScoredRun]) -> list[list[ScoredRun]]:
    """The runs of each net: those whose model has the same layers, image size and multiply-adds.

    Where a run's config has a parameter that is swept, its value is the net's too.

    Raises:
        InputError: a run is of none of the nets.
    """
    structures = [_Structure.of(net.model, net.madds) for net in nets]
    found: list[list[ScoredRun]] = [[] for _ in nets]
    for run in track(runs, len(runs), "looking at runs", "runs"):
        own = _structure_of_run(run)
        places = [i for i, net in enumerate(nets) if structures[i] == own and _has_values(run, net)]
        if not places:
            raise InputError(
                f"{run.folder} has trained none of these nets: its model is for images of "
                f"{value_text(own.image_size)} and has {readable(own.madds)} multiply-adds. Leave it out, or "
                "sweep its values too."
            )
        for place in places:
            found[place].append(run)
    return found


class _Structure(NamedTuple):
    """What two models have in common that are as fast and can be as good."""

    image_size: Size
    madds: int
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, model: VisionModel, madds: int) -> _Structure:
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        return cls(model.resize.image_size, madds, shapes)


def _structure_of_run(run: ScoredRun) -> _Structure:
    with refusing_bad_values():
        model = build_model(run.experiment, tuple(run.experiment.class_names or ())).eval()
        cost = measure_cost(model, model.resize.image_size, in_channels=model.resize.pixels.channels)
    return _Structure.of(model, cost.madds)


def _has_values(run: ScoredRun, net: SweptNet) -> bool:
    own = {key: value_at(run.experiment.model, key) for key in net.arguments}
    return all(value in (None, net.arguments[key]) for key, value in own.items())


def mean_score(runs: Sequence[ScoredRun]) -> float | None:
    """Of the runs of one net, as of several seeds; None without a run."""
    return fmean(run.score for run in runs) if runs else None
