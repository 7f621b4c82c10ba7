"""The experiment that a published file is of, by what the file says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from pocketvision.core.command import find_config
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.published.catalog import published_class_names
from pocketvision.published.load import is_published_name
from pocketvision.published.recognize import Recognized, has_kernels, recognize
from pocketvision.published.tensorflow.known_backbones import WIDTHS
from pocketvision.runs.folder import load_experiment

logger = logging.getLogger("pocketvision")

_IMAGENET = (1000, 1001)
"""Outputs of ImageNet's classifiers, without and with a background."""
_KNOWN_CLASSES = {
    ("imported_detection", 90): "ssdlite_v2_coco_tf",
    ("imported_segmentation", 21): "deeplabv3_v2_voc",
    ("imported_segmentation", 19): "lraspp_v3_large_cityscapes",
}
"""Config and number of classes -> the config whose classes those are, in all public files."""

_PUBLISHED_CLASSES = {
    ("ssdlite_v3_large_coco", 90): "coco",
    ("lraspp_v3_large_voc", 21): "coco-voc",
    ("deeplabv3_v3_large_voc", 21): "coco-voc",
}
"""The same for torchvision's files."""
_OF_ANY_CLASSES = ("lraspp_v3_large_voc", "deeplabv3_v3_large_voc")
"""Configs for fixed classes whose architecture other files have, too."""


class FoundExperiment(NamedTuple):
    """What a file's model is: the shipped ``config``, its ``experiment``, the names of the model's
    arguments that the file ``stated``, and how many classes it may have, its background aside or not."""

    config: Path
    experiment: Experiment
    stated: tuple[str, ...]
    num_classes: tuple[int, ...]


def recognized_experiment(file: str, overrides: Sequence[str]) -> FoundExperiment:
    """The shipped config whose model ``file`` holds, and its experiment with what the file says of it.

    ``overrides`` stay. Unless they name the classes or data, these are the file's, or those of the data set
    that public files with as many outputs are for.

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
    if "model.width_mult" not in stated and "width_mult" not in arguments:
        arguments["width_mult"] = _width(experiment, found, file)
    experiment = replace(experiment, model=partial(experiment.model, **arguments))
    if found.config in _OF_ANY_CLASSES and "class_names" not in stated:
        experiment = replace(experiment, class_names=None)
    has_data = "data.root" in stated
    if experiment.class_names is None and not (has_data and found.config.startswith("classifier")):
        experiment = replace(experiment, class_names=_class_names(found, file, is_needed=not has_data))
    _report(file, found, experiment, stated)
    numbers = (found.num_outputs, found.num_outputs - 1)
    return FoundExperiment(config, experiment, tuple(arguments), numbers)


def _class_names(found: Recognized, file: str, *, is_needed: bool) -> tuple[str | None, ...] | None:
    """The names in the file, else those of ImageNet, COCO, VOC or Cityscapes by their number."""
    has_background = found.config in ("imported_detection", "ssdlite_v3_large_coco")
    number = found.num_outputs - has_background
    if found.labels is not None and len(found.labels) in (number, found.num_outputs):
        return found.labels[len(found.labels) - number :]
    if found.labels is not None:
        logger.warning("%s lists %d names for %d classes: unused", file, len(found.labels), number)
    if found.config.startswith("classifier") and number in _IMAGENET:
        return tuple(published_class_names("imagenet"))
    if (published := _PUBLISHED_CLASSES.get((found.config, number))) is not None:
        return tuple(published_class_names(published))
    if (name := _KNOWN_CLASSES.get((found.config, number))) is not None:
        logger.info("%s names no classes: those of %s are taken, which are as many", file, name)
        return tuple(load_experiment(find_config(name), [])[0].class_names or ())
    if not is_needed:
        return None
    raise InputError(
        f"{file} predicts {number} classes and names none: "
        "give class_names=\"('a', 'b')\" or data.root=FOLDER."
    )


def _report(file: str, found: Recognized, experiment: Experiment, stated: set[str]) -> None:
    """Say what the file was taken for, and what of it was not read from it."""
    width = parameters(experiment.model)["width_mult"]
    logger.info("%s is a model of %s, width_mult %g", file, found.config, width)
    for name, value in found.arguments.items():
        if name != "width_mult":
            logger.info("  %s: %s", name, value)
    if found.config == "ssdlite_v2_person" and "class_names" not in stated:
        logger.info("its class name (person) is the config's: the file names none")
    if found.assumed is not None:
        logger.info("%s.", found.assumed)
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
