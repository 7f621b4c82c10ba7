"""Training as a function: what the command ``train`` does, with an object for its result."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pocketvision.core.config import Experiment
    from pocketvision.deploy.predict.predictor import Predictor
    from pocketvision.models import VisionModel
    from pocketvision.tasks.own.starting import Request, Settled

_SHOWN_SIDE = 900
"""Pixels of the picture that a notebook shows."""


@dataclass(frozen=True)
class TrainedRun:
    """A run folder whose training is done.

    ``scores`` are the content of its metrics.json, values in [0, 1]; empty in all but the first of several
    processes. In a notebook it shows predictions on validation images.
    """

    folder: Path
    scores: Mapping[str, Any] = field(repr=False)

    def load(self) -> VisionModel:
        """The model with its best weights, in eval mode."""
        from pocketvision.runs.ready_model import load_model

        return load_model(self.folder)

    def predictor(self, threshold: float | None = None, device: str = "auto") -> Predictor:
        """The model as what predicts on images and videos of any size."""
        from pocketvision.deploy.predict.predictor import Predictor

        return Predictor.load(self.folder, threshold=threshold, device=device)

    def _repr_jpeg_(self) -> bytes | None:
        """predictions.png as a notebook keeps it: a tenth of the bytes."""
        from PIL import Image

        file = self.folder / "predictions.png"
        if not file.is_file():
            return None
        content = io.BytesIO()
        with Image.open(file) as picture:
            small = picture.convert("RGB")
        small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        small.save(content, format="JPEG", quality=80)
        return content.getvalue()


def train(
    config: str | Path | Experiment | None = None,
    overrides: Sequence[str] = (),
    *,
    data: str | Path | None = None,
    task: str | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    minutes: float | None = None,
    run_dir: str | Path | None = None,
) -> TrainedRun:
    """As :func:`pocketvision.train`."""
    from pocketvision.core.errors import InputError
    from pocketvision.core.memory import keep_freed_memory
    from pocketvision.core.processes import end_with_parent, is_started_by_another
    from pocketvision.tasks.own.starting import Request, new_folder
    from pocketvision.tasks.unlabelled.stages import fit_in_stages

    if (config is None) == (data is None):
        raise InputError("Say what to train: a config, or data=PATH, and not both.")
    if data is None and (task or model):
        raise InputError("task and model go with data=PATH: a config has its own.")
    if isinstance(overrides, str):
        raise InputError(f"The overrides are one text: give a list, as [{overrides!r}].")
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes is {minutes:g}: give a number above 0.")
    if is_started_by_another():
        end_with_parent()
    keep_freed_memory()
    words = [*overrides, *([] if weights is None else [f"model.weights={str(weights)!r}"])]
    request = Request(time.monotonic(), minutes)
    with _settled(config, words, data, task, model, request) as (name, settled):
        _check_processes(settled.experiment)
        folder = new_folder(name) if run_dir is None else Path(run_dir)
        seconds = time.monotonic() - request.started
        experiment, files, words, read = settled
        result = fit_in_stages(experiment, folder, files, words, seconds, read)
    return TrainedRun(folder, {} if result is None else result.metrics)


@contextmanager
def _settled(
    config: str | Path | Experiment | None, overrides: list[str], data: str | Path | None,
    task: str | None, model: str | None, request: Request,
) -> Iterator[tuple[Path, Settled]]:  # fmt: skip
    """The config's file, there until the run has its copy, and the experiment."""
    from pocketvision.core.command import find_config
    from pocketvision.core.registered import task_of
    from pocketvision.runs.experiment_text import experiment_text
    from pocketvision.tasks.own.starting import configure, settle

    with tempfile.TemporaryDirectory(prefix="pocketvision-config-") as scratch:
        read = None
        if data is not None:
            if model is not None:
                task_of(model)
            made_by = f"pocketvision.train(data={str(data)!r})"
            tasks, models = [task] if task else [], [model] if model else []
            file, overrides, read = configure(
                [str(data)], tasks, models, overrides, Path(scratch), made_by, request
            )
        elif isinstance(config, str | Path):
            file = find_config(str(config))
        else:
            assert config is not None
            file = Path(scratch) / "experiment.py"
            file.write_text(experiment_text(config), encoding="utf-8")
        yield file, settle(file, overrides, request, read, is_own=data is not None)


def _check_processes(experiment: Experiment) -> None:
    """Several processes run the script that calls this: a notebook is none."""
    from pocketvision.core.errors import InputError

    is_script = hasattr(sys.modules["__main__"], "__file__")
    if not is_script and experiment.trainer.get("devices", 1) not in (1, "1"):
        raise InputError(
            "A notebook is one process: leave trainer.devices at 1, or use the command pocketvision train."
        )
