"""``train --data PATH``: look at a data set, choose model, input size and recipe, and write a config."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketvision.backbones.pretrained import imagenet_file
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment, apply_overrides, parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.core.registered import TaskName, default_model, own_config, task_of
from pocketvision.core.structures import Size
from pocketvision.datasets import detect_format
from pocketvision.datasets.base_modules import tiling_of_options
from pocketvision.datasets.data_module import AnyData
from pocketvision.datasets.format_modules import data_module_of, training_records
from pocketvision.datasets.formats.detect import FoundData
from pocketvision.datasets.images.survey import EIGHT_BIT_RGB, FoundPixels, look_at_pixels
from pocketvision.datasets.records.annotations import (
    AnyRecords,
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.doctor.checks.shapes import advise_boxes, fit_size
from pocketvision.runs.build import build, build_model, look_at_start, refusing_bad_values
from pocketvision.runs.folder import load_experiment, override
from pocketvision.tasks.accumulation import num_parts
from pocketvision.tasks.own.config_text import config_text
from pocketvision.tasks.own.fit_to_data import (
    ResizeMode,
    box_class_weights,
    class_weights,
    crop_size,
    fit_anchors,
    fit_cells,
    fit_max_detections,
)
from pocketvision.tasks.own.found import Fitted, OwnData, StartingModel
from pocketvision.tasks.own.rare_classes import fit_repeats, stated_repeats
from pocketvision.tasks.own.recipe import TrainingRecipe, choose_batch_size, derive_recipe
from pocketvision.tasks.own.settings import own_experiment
from pocketvision.tasks.own.tiles import Tiles, cut_tiles, fit_tiles, learned_records
from pocketvision.tasks.own.timing import auto_recipe

logger = logging.getLogger("pocketvision")
BOXES_SIZE = 320, 320
"""(height, width) of the input for boxes."""


def look_at(
    path: str | Path, task: str | None, model: str | None, overrides: Sequence[str],
    start: StartingModel | None = None,
) -> OwnData:  # fmt: skip
    """Find the format of ``path``, read its splits, and choose what fits the data.

    ``overrides`` of ``data.*`` and ``model.image_size``, and ``start`` if it is for that task, are kept to.

    Raises:
        InputError: nothing is found, it can't be read, or model and task don't go together.
    """
    if model is not None:
        wanted = task_of(model)
        if task not in (None, wanted):
            raise InputError(f"{model} is for {wanted}, not {task}: change --task or --model.")
        task = wanted
    found = detect_format(path, task)
    given = parse_overrides(overrides)
    for_data = {key: value for key, value in given.items() if key.startswith("data.")}
    experiment = apply_overrides(Experiment(model=dict, task=dict, data=data_module_of(found)), for_data)
    with refusing_bad_values():
        data: AnyData = experiment.data()
        train, val = training_records(data)
    counts = {data.train_split: len(train), data.val_split: len(val)} | _others(found, data)
    chosen = model or _model_for(found.task, start)
    start = start if start is not None and start.task == found.task else None
    image_size = given.get("model.image_size", None if start is None else start.image_size)
    given_size = None if image_size is None else tuple(image_size)
    with refusing_bad_values():
        tiles = _tiles(train, data, given, given_size)
        learned = train if tiles is None else tiles.learned
        size, fitted = _fit(learned, given_size, given.get("model.mode"), is_dense=_is_dense(chosen))
        if tiles is not None and isinstance(train, SegmentationRecords):
            fitted = replace(fitted, resize=None)  # tiles have one shape
        fitted = replace(fitted, tiles=tiles)
        if "data.repeat_threshold" not in given:
            fitted = replace(fitted, repeats=fit_repeats(learned))
        elif (threshold := given["data.repeat_threshold"]) is not None:
            fitted = replace(fitted, repeats=stated_repeats(learned, threshold))
        pixels = _pixels(train, given)
    batch_size = given.get("data.batch_size") or choose_batch_size(len(learned), found.task)
    return OwnData(found, chosen, train.class_names, counts, batch_size, size, data, fitted, pixels, start)


def _model_for(task: TaskName, start: StartingModel | None) -> str:
    """What training starts from, where that is of this task, else the default family on its backbone."""
    if start is None:
        return default_model(task)
    family = default_model(task).partition("_")[0]
    return start.model if start.task == task else f"{family}_{start.model.partition('_')[2]}"


def write_config(
    own: OwnData, folder: Path, overrides: Sequence[str], command: str, minutes: float | None = None,
    *, check_weights: bool = True, started: float | None = None,
) -> tuple[Path, TrainingRecipe]:  # fmt: skip
    """Derive the recipe and write the config into ``folder``.

    Published weights that can't be fetched are left out, with a sentence. With ``minutes``, which count from
    ``started``, a few steps are measured first.

    Raises:
        InputError: an override is unknown or its value unfit, or the time is too short.
    """
    given = parse_overrides(overrides)
    weights: str | None = given.get("model.weights", "imagenet")
    recipe, experiment = _derive(own, weights, overrides)
    if check_weights:
        look_at_start(experiment)
    if check_weights and "model.weights" not in given and not has_published(experiment, own.class_names):
        weights = None
        recipe, experiment = _derive(own, weights, overrides)
    if minutes is not None:
        recipe = auto_recipe(experiment, minutes, own.data, started, own.num_drawn)
    name = re.sub(r"\W+", "_", own.found.root.resolve().name.lower()).strip("_") or "data"
    file = folder / f"{own.model}_{name}.py"
    file.write_text(config_text(own, recipe, weights, command), encoding="utf-8")
    return file, recipe


def _derive(own: OwnData, weights: str | None, overrides: Sequence[str]) -> tuple[TrainingRecipe, Experiment]:
    given = parse_overrides(overrides)
    trainer = {k.removeprefix("trainer."): v for k, v in given.items() if k.startswith("trainer.")}
    recipe = derive_recipe(
        own.num_learned, len(own.class_names), own.batch_size, own.found.task,
        pretrained=weights is not None, dense=own.model.startswith("gfl_"), parts=num_parts(trainer),
        num_drawn=own.num_drawn,
    )  # fmt: skip
    return recipe, override(own_experiment(own, recipe, weights), overrides)


def data_weights(experiment: Experiment, read: AnyData | None = None) -> list[str]:
    """``task.loss.class_weights`` from the training masks or boxes, where the config says ``data``.

    ``read`` is as for :func:`~pocketvision.runs.build.build`.

    Raises:
        InputError: the data are unfit, or have neither masks nor boxes.
    """
    if parameters(parameters(experiment.task).get("loss")).get("class_weights") != "data":
        return []
    _, data = build(experiment, pretrained=False, read=read)
    train = data.records(data.train_split)
    if isinstance(train, DetectionRecords):
        return [f"task.loss.class_weights={box_class_weights(train)!r}"]
    if not isinstance(train, SegmentationRecords):
        raise InputError("task.loss.class_weights=data needs masks or boxes: this data set has none.")
    return [f"task.loss.class_weights={class_weights(train)!r}"]


def raised_cap(experiment: Experiment, read: AnyData | None = None) -> list[str]:
    """``model.max_detections`` where training pictures hold more boxes than the config lets a picture have.

    ``read`` is as for :func:`~pocketvision.runs.build.build`.
    """
    cap = parameters(experiment.model).get("max_detections")
    if not isinstance(cap, int):
        return []
    _, data = build(experiment, pretrained=False, read=read)
    train = learned_records(data)
    most = fit_max_detections(train) if isinstance(train, DetectionRecords) else cap
    return [f"model.max_detections={most}"] if most > cap else []


def has_published(experiment: Experiment, class_names: tuple[str | None, ...]) -> bool:
    """Whether the file of ImageNet weights for this backbone is here or can be fetched."""
    with refusing_bad_values():
        model = build_model(experiment, class_names)
    try:
        imagenet_file(body_of(model.backbone))
    except InputError as error:
        logger.warning(
            "Training starts from random weights, which takes longer and needs more images: %s "
            "A file of your own goes in with model.weights=FILE.", error,
        )  # fmt: skip
        return False
    return True


def _others(found: FoundData, data: AnyData) -> dict[str, int]:
    """Numbers of images of the further splits; one that can't be read is not needed for training."""
    counts = {}
    for split in found.splits:
        if split not in (data.train_split, data.val_split, found.arguments.get("divide")):
            try:
                counts[split] = len(found.read(split))
            except InputError as error:
                logger.warning("the split %s is left out: %s", split, error)
    return counts


def _is_dense(model: str) -> bool:
    """Whether the config that a model is built from has one anchor a cell."""
    config, _ = own_config(model.partition("_")[0])
    experiment, _ = load_experiment(shipped_configs()[config], ())
    return isinstance(parameters(experiment.model).get("anchors"), CellAnchors)


def _tiles(
    train: AnyRecords, data: AnyData, given: Mapping[str, Any], image_size: Size | None
) -> Tiles | None:
    """Tiles of pictures with boxes or masks: as the user wants them, else where these need them."""
    if isinstance(train, ClassificationRecords):
        return None
    options = vars(data)
    tiling, empty_share = tiling_of_options(options), options["empty_tiles"]
    if tiling is not None:
        return cut_tiles(train, tiling, empty_share)
    if image_size is None:
        image_size = fit_size(train)[0] if isinstance(train, SegmentationRecords) else BOXES_SIZE
    return None if "data.tile_size" in given else fit_tiles(train, image_size, empty_share)


def _pixels(train: AnyRecords, given: Mapping[str, Any]) -> FoundPixels:
    """What the pictures are read as; classifiers take 8-bit RGB."""
    if isinstance(train, ClassificationRecords):
        return EIGHT_BIT_RGB
    stated = given.get("model.value_range")
    return look_at_pixels(
        train.image_paths, given.get("model.in_channels"), None if stated is None else tuple(stated)
    )


def _fit(
    train: AnyRecords, image_size: Size | None, mode: ResizeMode | None, *, is_dense: bool
) -> tuple[Size, Fitted]:
    """Input size, and what else is taken from the training images."""
    if isinstance(train, DetectionRecords):
        size, advice = image_size or BOXES_SIZE, advise_boxes(train)
        anchors, ceiling = (fit_cells if is_dense else fit_anchors)(train, size, mode or advice.mode)
        most = fit_max_detections(train)
        fitted = Fitted(anchors=anchors, ceiling=ceiling, is_dense=is_dense, max_detections=most)
        return size, fitted if mode else replace(fitted, resize=advice)
    if isinstance(train, SegmentationRecords):
        size, advice = fit_size(train)
        size = image_size or size
        fitted = Fitted(class_weights=class_weights(train), crop_size=crop_size(size))
        return size, fitted if mode else replace(fitted, resize=advice)
    return image_size or (224, 224), Fitted()
