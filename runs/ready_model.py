"""A ready model by the name of a shipped config, from a run folder or from a weights file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pocketvision.core.command import find_config
from pocketvision.core.config import Experiment
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.models import Classifier, VisionModel
from pocketvision.published.catalog import published_class_names
from pocketvision.published.load import file_class_names, load_weights, local_file
from pocketvision.published.tensorflow.import_file import SUFFIXES
from pocketvision.published.timm_hub import is_timm_name
from pocketvision.runs.build import build_model, refusing_bad_values
from pocketvision.runs.folder import Run, load_experiment, run_of_checkpoint
from pocketvision.runs.foreign import imported, is_foreign
from pocketvision.runs.importing import with_inputs_of
from pocketvision.runs.passport import as_trained, build_from_passport


def load_model(
    source: str | Path,
    weights: str | Path | None = None,
    class_names: Sequence[str | None] | None = None,
    overrides: Sequence[str] = (),
) -> VisionModel:
    """Build a model, load its weights and set it to inference.

    ``source`` is a run folder, a checkpoint in one, a .safetensors file with a passport, a file of
    TensorFlow, torchvision or timm that says itself what it is (:func:`~pocketvision.runs.foreign.imported`),
    or a config: a path or the name of a shipped one. ``weights`` are as in :func:`load_weights`; a run or
    file has its own, a config without them gives fresh ones, and with them the model that they were trained
    in, as far as they say (width, padding, normalization ...). Opening a run folder or a config runs the
    code in it; a weights file never does.

    Raises:
        InputError: nothing is there, it does not fit, or nobody names the classes.
    """
    path = Path(source)
    if weights is None and is_foreign(path):
        named = [] if class_names is None else [f"class_names={tuple(class_names)!r}"]
        path, overrides = imported(path, [*overrides, *named]), ()
    if path.suffix == ".safetensors":
        if overrides:
            raise InputError(f"{path} says itself how to build its model: leave {overrides[0]} out.")
        model = build_from_passport(read_passport(path), path)
        load_weights(model, weights or path)
        return model.eval()
    experiment, weights = _experiment_of(source, weights, overrides)
    names = class_names or experiment.class_names
    if names is None and weights is not None:
        names = _class_names(experiment, str(weights))
    if names is None:
        raise InputError(f"{source} takes its class names from data: give class_names=('cat', 'dog').")
    with refusing_bad_values():
        model = build_model(experiment, tuple(names))
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def _experiment_of(
    source: str | Path, weights: str | Path | None, overrides: Sequence[str]
) -> tuple[Experiment, str | Path | None]:
    """The experiment of a run, a checkpoint in one or a config, and the weights for its model."""
    path = Path(source)
    if path.is_dir():
        run = Run.open(path)
        return run.load(overrides), weights or run.weights
    folder = run_of_checkpoint(path)
    if folder is not None:
        return Run.open(folder).load(overrides), weights or path
    if path.suffix in (".pth", ".pt", ".ckpt", *SUFFIXES):
        raise InputError(f"{path} does not say which model it is for: load(CONFIG, weights='{path}').")
    experiment, _ = load_experiment(find_config(str(source)), overrides)
    return experiment if weights is None else _as_trained(experiment, weights, overrides), weights


def _as_trained(experiment: Experiment, weights: str | Path, overrides: Sequence[str]) -> Experiment:
    """The experiment with the model arguments that fit the weights; its classes and ``overrides`` stay."""
    file = local_file(Path(weights)) if Path(weights).exists() else Path(weights)
    adapted = as_trained(with_inputs_of(str(weights), experiment, overrides), overrides, file)
    return replace(adapted, class_names=experiment.class_names)


def _class_names(experiment: Experiment, weights: str) -> Sequence[str | None] | None:
    """The classes that weights are for, None where nobody says."""
    is_imagenet = weights == "imagenet" or (is_timm_name(weights) and weights.endswith("in1k"))
    if is_imagenet and _is_classifier(experiment):
        return published_class_names("imagenet")
    return file_class_names(weights)


def _is_classifier(experiment: Experiment) -> bool:
    with torch.device("meta"), refusing_bad_values():
        return isinstance(build_model(experiment, ("any",)), Classifier)
