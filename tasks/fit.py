"""Train an experiment into a run folder, then score its best weights."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError, StoppedError, StopSignal
from pocketvision.core.files import check_empty, read_json
from pocketvision.core.weights import load_state_dict, read_passport, read_state_dict, save_weights
from pocketvision.datasets.data_module import AnyData
from pocketvision.evaluation.evaluate import evaluate
from pocketvision.evaluation.report.about import CURVES, about_sections
from pocketvision.models import VisionModel, detector_in
from pocketvision.runs.build import build, refusing_bad_values
from pocketvision.runs.folder import Run, check_trainer
from pocketvision.runs.passport import make_passport, training_facts
from pocketvision.tasks.accumulation import num_accumulated
from pocketvision.tasks.base import AnyTask
from pocketvision.tasks.checkpoints import LAST, PREVIOUS, KeepBest, is_intact, newest_intact, step_of
from pocketvision.tasks.curves import plot_curves
from pocketvision.tasks.fingerprint import check_fingerprint, write_fingerprint
from pocketvision.tasks.lightning_data import for_lightning
from pocketvision.tasks.named_parts import with_callbacks
from pocketvision.tasks.recovery import Recovery
from pocketvision.tasks.run_lock import only_process
from pocketvision.tasks.stopping import Stopping, describe_code
from pocketvision.tasks.time_budget import TimeBudget
from pocketvision.tasks.trainer import METRICS, make_trainer, quiet_lightning

logger = logging.getLogger("pocketvision")

WEIGHTS = "weights.safetensors"
SECONDS_UNTIL_TOLD = 1.0
"""What a signal to all processes, or the death of one, may take to be known everywhere."""


class TrainingResult(NamedTuple):
    """What a finished training leaves beside its folder.

    ``metrics`` is the content of metrics.json, ``example`` the file of the first validation image, None
    where the images are drawn.
    """

    metrics: dict[str, Any]
    example: Path | None


def fit(
    experiment: Experiment,
    folder: Path,
    config_files: Sequence[Path],
    overrides: Sequence[str],
    seconds_spent: float = 0.0,
    read: AnyData | None = None,
) -> TrainingResult | None:
    """Train ``experiment`` into ``folder``, score the best weights on the validation split.

    ``seconds_spent`` of the experiment's ``minutes`` are over already; ``read`` is as for :func:`build`.

    Returns:
        What was reached; None in all but the first of several processes.

    Raises:
        InputError: the data, the config or the folder is not fit for it.
        StoppedError: SIGTERM or Ctrl-C ended it; :func:`resume` goes on.
    """
    start = time.perf_counter() - seconds_spent
    quiet_lightning()
    if is_first_process():
        check_empty(folder, "--run-dir")
    check_trainer(experiment)
    make_budget(experiment, seconds_spent)
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=True, read=read)
    with refusing_bad_values():
        task: AnyTask = experiment.task(model=model)
        task.optimizer(task.parameter_groups())
        # Bad data and values are reported before a folder is made.
        data.records(data.val_split), data.eval_dataloader(data.val_split)
        data.train_dataloader(num_accumulated(experiment.trainer))
        with TemporaryDirectory() as scratch:  # some loggers make files at once
            make_trainer(experiment, task, Path(scratch))
    if is_first_process():
        root = getattr(data, "root", None)
        write_fingerprint(Run.create(folder, config_files, overrides, model.class_names, root), data)
    metrics = train(experiment, folder, model, data, None, time.perf_counter() - start)
    logger.info("done in %.0f s", time.perf_counter() - start)
    return None if metrics is None else TrainingResult(metrics, example_of(data))


def resume(
    folder: Path, overrides: Sequence[str] = (), *, allow_changed_data: bool = False,
    callbacks: Sequence[L.Callback] = (),
) -> TrainingResult | None:  # fmt: skip
    """Go on with a run that was stopped, from its last checkpoint, as if nothing had happened.

    ``overrides`` may say where the data are now: data.root=FOLDER. ``callbacks`` come beside the config's.

    Raises:
        InputError: it is no run folder, is finished, is being trained, has no checkpoint that can be
            read, or its data have changed and ``allow_changed_data`` is False.
        StoppedError: it was stopped again.
    """
    quiet_lightning()
    run = Run.open(folder)
    if is_finished(folder):
        raise InputError(f"{folder} is finished: train on from its weights with --from {folder}.")
    checkpoint = newest_intact(folder / "checkpoints")
    experiment = with_callbacks(run.load(overrides), callbacks)
    L.seed_everything(experiment.seed, verbose=False)
    model, data = build(experiment, pretrained=False)
    if is_first_process():
        check_fingerprint(run, data, allow_changed_data=allow_changed_data)
        if overrides:
            run.keep_root(parameters(experiment.data)["root"])
    metrics = train(experiment, folder, model, data, checkpoint)
    return None if metrics is None else TrainingResult(metrics, example_of(data))


def example_of(data: AnyData) -> Path | None:
    """The file of the first validation image; None where there is no file, as of images that are drawn."""
    path = Path(data.records(data.val_split).image_paths[0])
    return path if path.is_file() else None


def is_first_process() -> bool:
    """Whether this is the process that writes, also before the others have been started."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # set on the function


def is_finished(folder: Path) -> bool:
    """Whether a run has all that it was to make: its weights know their metrics at the very end."""
    weights = folder / WEIGHTS
    if not (folder / "metrics.json").is_file() or not weights.is_file():
        return False
    try:
        return "metrics" in read_passport(weights)
    except InputError:
        return False


def train(
    experiment: Experiment,
    folder: Path,
    model: VisionModel,
    data: AnyData,
    checkpoint: Path | None,
    seconds_spent: float = 0.0,
) -> dict[str, Any] | None:
    """Train from ``checkpoint`` or the beginning to the end, whatever comes between; then score."""
    budget = make_budget(experiment, seconds_spent)
    last_words = partial(describe_stop, folder, is_new=checkpoint is None)
    lock = only_process(folder) if is_first_process() else nullcontext()
    with Stopping(last_words) as stopping, lock:
        try:
            return attempt_until_done(experiment, folder, model, data, checkpoint, stopping, budget)
        except StopSignal as stop:
            if not is_first_process() and stopping.is_joint:
                raise StoppedError("", 0) from stop  # the first process says it
            raise StoppedError(last_words(stop.number), stop.code) from stop


def make_budget(experiment: Experiment, seconds_spent: float) -> TimeBudget | None:
    """What ends training in time, where the experiment has ``minutes``."""
    minutes = experiment.minutes
    if minutes is None:
        return None
    if not isinstance(minutes, int | float) or not minutes > 0:
        raise InputError(f"minutes is {minutes!r}: give a number above 0.")
    return TimeBudget(60 * minutes, seconds_spent)


def attempt_until_done(
    experiment: Experiment, folder: Path, model: VisionModel, data: AnyData, checkpoint: Path | None,
    stopping: Stopping, budget: TimeBudget | None,
) -> dict[str, Any] | None:  # fmt: skip
    """Begin again from the newest checkpoint after every trouble that has a remedy."""
    recovery = Recovery(experiment, folder, checkpoint)
    while True:
        with refusing_bad_values():
            task = recovery.make_task(model)
            trainer, best = make_trainer(
                recovery.experiment, task, folder, recovery.first_step, stopping, budget
            )
        stopping.partners = partial(getattr, trainer.strategy.launcher, "procs", ())
        try:
            lightning_data = for_lightning(data, num_accumulated(recovery.experiment.trainer))
            trainer.fit(task, datamodule=lightning_data, ckpt_path=recovery.checkpoint, weights_only=True)
            return finish(recovery.experiment, folder, model, data, trainer, task, best)
        except Exception as error:
            try:
                raise_if_stopped(error, stopping, trainer)
                recovery.recover(error, data)
            except StoppedError:
                raise
            except Exception:
                if checkpoint is None and trainer.global_step == 0 and trainer.is_global_zero:
                    shutil.rmtree(folder)  # nothing was trained; the name is free again
                raise


def raise_if_stopped(error: Exception, stopping: Stopping, trainer: L.Trainer) -> None:
    """Raise what lies behind an error: a signal that ended data workers too, or a process that died."""
    if isinstance(error, InputError):
        return
    if "DataLoader worker" in str(error) and stopping.was_told(SECONDS_UNTIL_TOLD):
        raise StopSignal(stopping.number)
    if trainer.world_size == 1:
        return
    if not trainer.is_global_zero:
        time.sleep(SECONDS_UNTIL_TOLD)  # if the first process has died, this one ends here
        return
    code = stopping.partner_code(SECONDS_UNTIL_TOLD)
    if code is not None:
        sentence = f"A process of the training {describe_code(code)}. {stopping.last_words(0)}"
        raise StoppedError(sentence, code if code > 128 else 1)


def describe_stop(folder: Path, number: int, *, is_new: bool) -> str:
    """How to go on; where there is nothing to go on from, the folder is removed if it ``is_new``."""
    for name in (LAST, PREVIOUS):
        checkpoint = folder / "checkpoints" / name
        if is_intact(checkpoint):
            step = step_of(checkpoint)
            return f"Stopped at step {step}: go on with pocketvision train --resume {quote(str(folder))}"
    if is_new and is_first_process():
        shutil.rmtree(folder, ignore_errors=True)
    return "Stopped before the first step: nothing is kept, start again."


def finish(
    experiment: Experiment, folder: Path, model: VisionModel, data: AnyData,
    trainer: L.Trainer, task: AnyTask, best: KeepBest,
) -> dict[str, Any] | None:  # fmt: skip
    """Write the best weights and score them, in the first process."""
    if best.best_model_path and not last_is_better(trainer, task, data, best):
        load_state_dict(model, read_state_dict(Path(best.best_model_path)), best.best_model_path)
    if not trainer.is_global_zero:
        return None
    facts = training_facts(model, experiment, data)
    detector = detector_in(model)
    if detector is not None:
        detector.best_threshold = None  # of the weights that training started from
    weights, passport = folder / WEIGHTS, make_passport(model, experiment, **facts)
    save_weights(weights, model, passport)
    if (folder / METRICS).is_file():
        plot_curves(folder / METRICS, folder / CURVES)
    about = about_sections(model, experiment, Run.open(folder))
    device = trainer.strategy.root_device
    metrics = evaluate(model, data, data.val_split, folder, device, about=about)
    scores = {name: value for name, value in metrics.items() if name != "per_class"}
    if detector is not None:
        analysis = folder / ("" if detector is model else "detection") / "analysis.json"
        detector.best_threshold = read_json(analysis)["threshold"]
        passport = make_passport(model, experiment, **facts)
    save_weights(weights, model, {**passport, "metrics": scores})
    return metrics


def last_is_better(trainer: L.Trainer, task: AnyTask, data: AnyData, best: KeepBest) -> bool:
    """Score the last weights if they were not scored; they become the best if they are."""
    if best.best_model_score is None or best.scored_step == trainer.global_step:
        return False
    scores = trainer.validate(task, datamodule=for_lightning(data, 1), verbose=False)[0]
    if scores[f"val/{task.metric}"] <= float(best.best_model_score):
        return False
    trainer.save_checkpoint(best.best_model_path)
    return True
