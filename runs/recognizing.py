"""The experiment that a published file is of, by what the file says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pocketvision.core.command import find_config
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.published.catalog import published_class_names
from pocketvision.published.load import is_published_name
from pocketvision.published.recognize import WIDTHS, Recognized, has_kernels, recognize
from pocketvision.runs.folder import load_experiment

logger = logging.getLogger("pocketvision")

_IMAGENET = (1000, 1001)
"""Outputs of ImageNet's classifiers, without and with a background."""


def recognized_experiment(file: str, overrides: Sequence[str]) -> tuple[Path, Experiment]:
    """The shipped config whose model ``file`` holds, and its experiment with the file's width and inputs.

    ``overrides`` stay. The classes are ImageNet's where a classifier has as many and nobody says otherwise.

    Raises:
        InputError: the file is a name, or no model that is known; says what does not fit.
    """
    if is_published_name(file):
        raise InputError(f"{file} names weights for several models: give --into CONFIG.")
    found = recognize(file)
    config = find_config(found.config)
    experiment, _ = load_experiment(config, overrides)
    stated = {word.partition("=")[0] for word in overrides}
    known = parameters(experiment.model)
    arguments = {k: v for k, v in found.arguments.items() if f"model.{k}" not in stated}
    if unknown := [key for key in arguments if key not in known]:
        raise InputError(
            f"{file} has {unknown[0]} {arguments[unknown[0]]}, which {found.config} can't be given: "
            "use a config of your own with --into."
        )
    if "model.width_mult" not in stated:
        arguments["width_mult"] = _width(experiment, found, file)
    experiment = replace(experiment, model=partial(experiment.model, **arguments))
    is_free = experiment.class_names is None and "data.root" not in stated
    if is_free and found.num_outputs in _IMAGENET:
        experiment = replace(experiment, class_names=tuple(published_class_names("imagenet") or ()))
    elif is_free:
        raise InputError(
            f"{file} predicts {found.num_outputs} classes and names none: "
            "give class_names=\"('a', 'b')\" or data.root=FOLDER."
        )
    _report(file, found, experiment, stated)
    return config, experiment


def _report(file: str, found: Recognized, experiment: Experiment, stated: set[str]) -> None:
    """Say what the file was taken for, and what of it was not read from it."""
    logger.info(
        "%s is a model of %s, width_mult %g", file, found.config, parameters(experiment.model)["width_mult"]
    )
    if experiment.class_names and "class_names" not in stated and found.num_outputs not in _IMAGENET:
        names = ", ".join(map(str, experiment.class_names))
        logger.info("its class names (%s), anchors and NMS are the config's: the file was not asked", names)
    if "image_size" not in found.arguments and "model.image_size" not in stated:
        logger.info("the file states no image size: the config's is taken")


def _width(experiment: Experiment, found: Recognized, file: str) -> float:
    """The width multiplier at which the model's backbone has the file's kernels."""
    for width in WIDTHS:
        with torch.device("meta"):
            model = experiment.model(("a",), width_mult=width, weights=None)
        if has_kernels(body_of(model.backbone), found.kernels):
            return width
    raise InputError(
        f"{file} has the layers of {found.config}, but its kernels are of no known width (its first is "
        f"{found.kernels[0]}; minimalistic models are not read yet): give --into CONFIG."
    )
