"""The report's sections on where a model comes from: its training, what it costs, the config of its run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from pocketvision.core.config import Experiment, flat
from pocketvision.core.page import Cells
from pocketvision.costs.measure import measure_cost
from pocketvision.evaluation.report.document import Section
from pocketvision.models import VisionModel
from pocketvision.runs.folder import Run

CURVES = "curves.png"
_COST = "Layer by layer: pocketvision cost. Activations in float32, of one image."
_MAX_NAMES = 10
_MEBIBYTE = 2**20
_RECORDED = {"config": "config", "started": "started", "commit": "commit of pocketvision", "python": "Python"}


def about_sections(model: VisionModel, experiment: Experiment, run: Run | None = None) -> list[Section]:
    """Training curves and origin of a run's model, what the model costs, and all values of its config."""
    values = [("value", "of this training" if run else "of this config")]
    values += [(name, str(value)) for name, value in flat(experiment).items()]
    return [
        *([] if run is None else [_training(run)]),
        Section("Model", _COST, _model_rows(model)),
        Section("Config", "Names are those that part.key=value on the command line takes.", values),
    ]


def _training(run: Run) -> Section:
    curves = run.folder / CURVES
    record = run.record
    rows: list[Cells] = [("of the run", "")]
    rows += [(title, str(record[key])) for key, title in _RECORDED.items() if record.get(key)]
    if record.get("command"):
        rows.append(("command", _as_typed(record)))
    return Section("Training", table=rows, picture=curves.read_bytes() if curves.is_file() else None)


def _as_typed(record: Mapping[str, Any]) -> str:
    first, *words = map(str, record["command"])
    return shlex.join([Path(first).name, *words])


def _model_rows(model: VisionModel) -> list[Cells]:
    facts = model.passport()
    size = " x ".join(map(str, model.resize.image_size))
    rows: list[Cells] = [("of the model", ""), ("task", facts["task"]), ("input (height x width)", size)]
    parts = [part for part in ("backbone", "head") if hasattr(model, part)]
    rows += [(part, type(getattr(model, part)).__name__) for part in parts]
    names = [str(name) for name in model.class_names]
    more = "" if len(names) <= _MAX_NAMES else f" and {len(names) - _MAX_NAMES} more"
    rows.append(("classes", ", ".join(names[:_MAX_NAMES]) + more))
    try:
        cost = measure_cost(model, model.resize.image_size)
    except (ValueError, RuntimeError):
        return [*rows, ("parameters", f"{_num_parameters(model):,}")]
    return [
        *rows,
        ("parameters", f"{cost.params:,}"),
        ("multiply-adds of an image", f"{cost.madds:,}"),
        ("peak of activations", f"{cost.memory / _MEBIBYTE:.1f} MiB"),
    ]


def _num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
