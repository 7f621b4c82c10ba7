"""Training with pictures without labels, in three stages that can be stopped and gone on with.

1. RUN is trained as ever. Its averaged weights are the teacher, kept in RUN/teacher.
2. The teacher labels the pictures once. Its labels are a COCO data set, RUN/pseudo.
3. RUN/student goes on from the teacher's weights, on labeled pictures and those of RUN/pseudo, which are
   augmented more strongly. RUN gets its results unless they are worse beyond doubt.

This is STAC (arXiv:2005.04757) with thresholds a class and boxes in doubt left open.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError, StoppedError
from pocketvision.core.files import read_json, write_json
from pocketvision.datasets.convert.common import convert
from pocketvision.datasets.convert.write_coco import WRITER
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.pseudo.joined import PSEUDO_SPLIT
from pocketvision.datasets.records.annotations import MissingSplitError
from pocketvision.datasets.task_modules import DetectionDataModule
from pocketvision.models import Detector
from pocketvision.published.load import load_weights
from pocketvision.runs.build import build
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks import fit as training
from pocketvision.tasks.fit import TrainingResult
from pocketvision.tasks.run_lock import only_process
from pocketvision.tasks.unlabelled.labels import PseudoLabels, make_labels
from pocketvision.tasks.unlabelled.outcome import keep_apart, outcome_of, take_over
from pocketvision.tasks.unlabelled.pictures import picture_paths, unlabelled_pictures

logger = logging.getLogger("pocketvision")

RECORD, TEACHER, PSEUDO, STUDENT = "unlabelled.json", "teacher", "pseudo", "student"


def fit_in_stages(
    experiment: Experiment,
    folder: Path,
    config_files: Sequence[Path],
    overrides: Sequence[str],
    seconds_spent: float = 0.0,
    read: AnyData | None = None,
) -> TrainingResult | None:
    """As :func:`pocketvision.tasks.fit.fit`, and on with the pictures in ``experiment.unlabelled``, if any.

    Raises:
        InputError: as there, or the experiment is none that can learn from pictures without labels.
        StoppedError: as there; :func:`resume_in_stages` goes on.
    """
    if experiment.unlabelled is not None:
        check_fit_for_stages(experiment)
    trained = training.fit(experiment, folder, config_files, overrides, seconds_spent, read)
    return trained if experiment.unlabelled is None else _learn_more(Run.open(folder), experiment, trained)


def resume_in_stages(
    folder: Path, overrides: Sequence[str] = (), *, allow_changed_data: bool = False
) -> TrainingResult | None:
    """As :func:`pocketvision.tasks.fit.resume`, in whichever stage the run was stopped.

    Raises:
        InputError, StoppedError: as there.
    """
    run = Run.open(folder)
    experiment = run.load(overrides)
    is_over = experiment.unlabelled is None or "outcome" in _record(folder)
    if is_over or not training.is_finished(folder):
        trained = training.resume(folder, overrides, allow_changed_data=allow_changed_data)
        if experiment.unlabelled is None:
            return trained
    elif overrides:
        run.keep_root(parameters(experiment.data)["root"])
    return _learn_more(run, experiment, None, allow_changed_data=allow_changed_data)


def check_fit_for_stages(experiment: Experiment) -> None:
    """Refuse what can't learn from pictures without labels, before anything is trained.

    Raises:
        InputError: another task than boxes, tiles, limited minutes, several processes, a model that takes no
            weights, or a folder without pictures.
    """
    data, trainer = parameters(experiment.data), experiment.trainer
    if "pseudo" not in data or "format" not in data:
        raise InputError("--unlabelled is for boxes in data sets of their own: leave it out for other tasks.")
    if data.get("tile_size") is not None:
        raise InputError(
            "--unlabelled is for pictures seen as a whole: give data.tile_size=None, or leave it out."
        )
    if experiment.minutes is not None:
        raise InputError(
            "--unlabelled trains twice and has no time limit: give trainer.max_steps instead of minutes."
        )
    if trainer.get("devices", 1) not in (1, "1") or trainer.get("num_nodes", 1) != 1:
        raise InputError("--unlabelled trains in one process: set trainer.devices and num_nodes to 1.")
    if "weights" not in parameters(experiment.model):
        raise InputError("--unlabelled goes on from weights: the config's model needs an argument weights.")
    picture_paths(str(experiment.unlabelled))


def _learn_more(
    run: Run, experiment: Experiment, trained: TrainingResult | None, *, allow_changed_data: bool = False
) -> TrainingResult:
    """Stages 2 and 3, from wherever they are, and the outcome."""
    folder = run.folder
    with only_process(folder):
        keep_apart(folder, folder / TEACHER)
        if "num_sure" not in _record(folder):
            _label(run, experiment)
    if not _record(folder)["num_sure"]:
        line = "the teacher is sure of nothing: the weights are those of the labeled pictures alone"
        return _end(folder, {"line": line}, None if trained is None else trained.example)
    try:
        student = _train_student(run, experiment, allow_changed_data=allow_changed_data)
    except StoppedError as stop:  # which names the student's folder, where the outcome would not be made
        words = f"Stopped in stage 3 of 3: go on with pocketvision train --resume {quote(str(folder))}"
        raise StoppedError(words, stop.code) from stop
    with only_process(folder):
        outcome = outcome_of(folder / TEACHER, folder / STUDENT, student.metrics["num_images"])
        take_over(folder / (STUDENT if outcome.keeps_student else TEACHER), folder)
    return _end(folder, {**asdict(outcome), "line": outcome.line()}, student.example)


def _end(folder: Path, outcome: dict[str, Any], example: Path | None) -> TrainingResult:
    """Say and record the outcome: with it the run is finished."""
    write_json(folder / RECORD, {**_record(folder), "outcome": outcome})
    logger.info("%s", outcome["line"])
    return TrainingResult(read_json(folder / "metrics.json"), example)


def _label(run: Run, experiment: Experiment) -> None:
    """Stage 2: write RUN/pseudo, and how its labels were chosen."""
    folder = run.folder
    model, data = build(experiment, pretrained=False)
    assert isinstance(model, Detector) and isinstance(data, DetectionDataModule)
    load_weights(model, folder / TEACHER / training.WEIGHTS, same_classes=True)
    pictures = unlabelled_pictures(str(experiment.unlabelled), data.records(data.train_split), _known(data))
    logger.info("stage 2 of 3: %s", pictures.line())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = make_labels(model, data, pictures.records, device)
    _tell(labels)
    if labels.num_sure and not (folder / PSEUDO).is_dir():
        convert({PSEUDO_SPLIT: labels.records}, WRITER, folder / PSEUDO)
    left_out = {name: getattr(pictures, name) for name in ("num_known", "num_twice", "num_unreadable")}
    write_json(folder / RECORD, {**left_out, **_facts(labels)})


def _known(data: DetectionDataModule) -> list[str]:
    """All pictures of the data set, of whichever split."""
    paths: list[str] = []
    for split in dict.fromkeys((data.train_split, data.val_split, data.test_split)):
        try:
            paths += data.own_records(split).image_paths
        except MissingSplitError:
            continue
    return paths


def _facts(labels: PseudoLabels) -> dict[str, Any]:
    return {
        "num_pictures": len(labels.records),
        "num_without_sure_box": labels.num_without,
        "num_sure": labels.num_sure,
        "num_open": int(labels.records.crowd.sum()),
        "thresholds": {name: row._asdict() for name, row in labels.thresholds.items() if isfinite(row.sure)},
    }


def _tell(labels: PseudoLabels) -> None:
    facts, records = _facts(labels), labels.records
    for name, row in labels.thresholds.items():
        of_class = records.labels[~records.crowd] == records.class_names.index(name)
        text = "%s: %d labels, those with a score from %.3f on, by the %s"
        logger.info(text, name, of_class.sum(), row.sure, row.rule)
    logger.info(
        "%d labels on %d pictures, %d boxes left open; %d pictures without a sure box are left out",
        facts["num_sure"], facts["num_pictures"], facts["num_open"], facts["num_without_sure_box"],
    )  # fmt: skip


def _train_student(run: Run, experiment: Experiment, *, allow_changed_data: bool) -> TrainingResult:
    """Stage 3: train RUN/student, or go on with it."""
    folder, student = run.folder, run.folder / STUDENT
    root = str(parameters(experiment.data)["root"])
    places = [f"data.root={root!r}", f"data.pseudo={str((folder / PSEUDO).resolve())!r}"]
    if training.is_finished(student):
        _, data = build(Run.open(student).load(places), pretrained=False)
        return TrainingResult(read_json(student / "metrics.json"), training.example_of(data))
    if (student / "run.json").is_file():
        logger.info("stage 3 of 3: going on with %s", student)
        return _first(training.resume(student, places, allow_changed_data=allow_changed_data))
    weights = str((folder / TEACHER / training.WEIGHTS).resolve())
    words = [*run.record["overrides"], *places, f"model.weights={weights!r}", "unlabelled=None"]
    own, files = load_experiment(folder / "config" / run.record["config"], words)
    logger.info("stage 3 of 3: training goes on with labels of both kinds, in %s", student)
    own = replace(own, class_names=experiment.class_names)
    return _first(training.fit(own, student, files, words))


def _first(trained: TrainingResult | None) -> TrainingResult:
    """There is but one process, which is the first."""
    assert trained is not None
    return trained


def _record(folder: Path) -> dict[str, Any]:
    file = folder / RECORD
    return dict(read_json(file)) if file.is_file() else {}
