"""A published file -> our safetensors with a passport."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.download import sha256
from pocketvision.core.errors import InputError
from pocketvision.core.weights import save_weights
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.images.read import read_image
from pocketvision.datasets.readers.tree import FileTree, is_folder
from pocketvision.models import JointModel, VisionModel
from pocketvision.published.inputs import inputs_of_file
from pocketvision.published.integer_runtime import integer_agreement
from pocketvision.published.load import file_class_names, load_weights
from pocketvision.published.norm_statistics import calibrate
from pocketvision.published.parity import measure_parity, refuse_disparity
from pocketvision.published.provenance import describe_source
from pocketvision.published.tensorflow.import_file import INPUTS
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment
from pocketvision.runs.passport import make_passport, tuples
from pocketvision.runs.recognizing import recognized_experiment

logger = logging.getLogger("pocketvision")


def import_weights(
    file: str,
    config: Path | None,
    overrides: Sequence[str],
    output: Path,
    class_ids: Sequence[int] | None = None,
    licence: str | None = None,
    calibration: Path | None = None,
) -> None:
    """Convert ``file`` (or a published name) for the model of ``config`` and write it to ``output``.

    Without a config the file itself says what it is.

    Raises:
        InputError: the file does not fit, is broken or computes something else, or nobody names the classes.
    """
    config, experiment, numbers = _experiment(file, config, overrides)
    names = experiment.class_names or file_class_names(file)
    if names is None:
        names = _names_of_data(experiment.data, config)
    if numbers and class_ids is None and len(names) not in numbers:
        raise InputError(
            f"{file} predicts {numbers[0]} classes, {len(names)} are named: name as many, or use --into."
        )
    model = build_model(experiment, tuple(names))
    loaded = load_weights(model, file, class_ids=class_ids)
    parity = measure_parity(model, loaded.path, loaded.nodes)
    logger.info("%s", parity.sentence)
    if loaded.is_whole:
        refuse_disparity(parity, loaded.path)
    facts = {**describe_source(model, file), **loaded.facts, "sha256": sha256(loaded.path)}
    facts |= _integer_runtime(model, loaded.path) if loaded.is_whole else {}
    facts |= {} if licence is None else {"licence": licence}
    if calibration is not None:
        count = calibrate(model, _batches(calibration, model))
        facts |= {"is_norm_folded": False, "calibrated_on": calibration.name}
        logger.info("%d BatchNorms calibrated on the images of %s", count, calibration)
    elif facts.get("is_norm_folded"):
        logger.info("BatchNorm is folded: it stays frozen in training, unless you --calibrate with images")
    save_weights(output, model, make_passport(model, experiment, **facts))


def _integer_runtime(model: VisionModel, path: Path) -> dict[str, Any]:
    """How far the integer runtime of a quantized file is from the model, told and for the passport."""
    agreement = None if isinstance(model, JointModel) else integer_agreement(model, path)
    if agreement is None:
        return {}
    logger.info("%s", agreement.sentence)
    return {"integer_runtime": agreement.facts} if agreement.facts else {}


def _experiment(
    file: str, config: Path | None, overrides: Sequence[str]
) -> tuple[Path, Experiment, tuple[int, ...]]:
    """The config that is named, or the file's, and its experiment with what is known of the file's inputs;
    how many classes a model may have that the file itself says."""
    if config is not None:
        return config, with_inputs_of(file, load_experiment(config, overrides)[0], overrides), ()
    config, experiment, stated, numbers = recognized_experiment(file, overrides)
    words = [*overrides, *(f"model.{name}" for name in stated)]
    return config, with_inputs_of(file, experiment, words), numbers


def with_inputs_of(file: str, experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """Let the model pad and normalize as the file's did: see :func:`inputs_from`."""
    return replace(experiment, model=partial(experiment.model, **inputs_from(file, experiment, overrides)))


def inputs_from(weights: str | Path, experiment: Experiment, overrides: Sequence[str]) -> dict[str, Any]:
    """Padding, mean and std that ``weights`` were trained with, where that is known, the experiment's model
    takes them and the user did not say otherwise. TensorFlow's have SAME padding and x / 127.5 - 1.

    Pictures other than 8-bit RGB keep a normalization of their own.
    """
    known = parameters(experiment.model)
    is_rgb = known.get("value_range") is None and known.get("in_channels", 3) == 3
    found = inputs_of_file(weights, str(known.get("padding") or "torch"))
    inputs = {key: tuples(value) for key, value in found.items() if key in INPUTS}
    stated = {
        word.partition("=")[0].removeprefix("model.") for word in overrides if word.startswith("model.")
    }
    kept = {name for name in inputs if name in known and (is_rgb or name == "padding")} - stated
    return {name: value for name, value in inputs.items() if name in kept}


def _batches(folder: Path, model: VisionModel) -> Iterator[Tensor]:
    """The images of a folder, one at a time, as the model wants them."""
    if not is_folder(folder):
        raise InputError(f"There is no data folder {folder}: give a folder of images to calibrate on.")
    images = FileTree(folder).images(folder)
    if not images:
        raise InputError(f"{folder} holds no images to calibrate on: give a folder of image files.")
    for path in images:
        yield to_tensor(model.resize.apply(read_image(str(path))))[None]


def _names_of_data(data: Callable[..., Any], config: Path) -> Sequence[str | None]:
    try:
        names: Sequence[str | None] = data().class_names()
    except InputError as error:
        raise InputError(
            f"{config.stem} takes its class names from data, and the file has none: "
            f"give class_names=\"('a', 'b')\" or data.root=FOLDER ({error})"
        ) from error
    return names
