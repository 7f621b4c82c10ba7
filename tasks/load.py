"""A ready model by the name of a shipped config, from a run folder or from a weights file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.models import VisionModel
from pocketvision.published.load import file_class_names, load_weights
from pocketvision.tasks.build import build_model, refusing_bad_values
from pocketvision.tasks.passport import build_from_passport
from pocketvision.tasks.run import Run, load_experiment


def load_model(
    source: str | Path,
    weights: str | Path | None = None,
    class_names: Sequence[str | None] | None = None,
) -> VisionModel:
    """Build a model, load its weights and set it to inference.

    ``source`` is a run folder, a .safetensors file with a passport, or a config: a path or the name of
    a shipped one. ``weights`` are as in :func:`load_weights`; a run or file has its own, a config
    without them gives fresh ones. Opening a run folder or a config runs the code in it; a weights
    file never does.

    Raises:
        InputError: nothing is there, it does not fit, or nobody names the classes.
    """
    path = Path(source)
    if path.suffix == ".safetensors":
        model = build_from_passport(read_passport(path), path)
        load_weights(model, weights or path)
        return model.eval()
    if path.is_dir():
        run = Run.open(path)
        experiment, weights = run.load(), weights or run.weights
    else:
        experiment, _ = load_experiment(find_config(str(source)), [])
    names = class_names or experiment.class_names
    if names is None and weights is not None:
        names = file_class_names(weights)
    if names is None:
        raise InputError(f"{source} takes its class names from data: give class_names=('cat', 'dog').")
    with refusing_bad_values():
        model = build_model(experiment, tuple(names))
    if weights is not None:
        load_weights(model, weights)
    return model.eval()
