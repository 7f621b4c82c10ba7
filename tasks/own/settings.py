"""What a config for somebody's own data changes in ``configs/own_*.py``, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch.optim import AdamW

from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.registered import own_config
from pocketvision.core.resize import RGB
from pocketvision.datasets import format_modules
from pocketvision.datasets.images.survey import FoundPixels
from pocketvision.losses import FocalLoss, SegmentationCrossEntropy, SSDLoss
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.own.found import OwnData
from pocketvision.tasks.own.recipe import TrainingRecipe
from pocketvision.tasks.own.timing import scoring_options

_WEIGHT_DECAY = {"detection": 0.05, "segmentation": 0.01, "classification": 0.05}


@dataclass(frozen=True)
class OwnSettings:
    """Arguments of the four parts of an experiment."""

    model: dict[str, Any]
    task: dict[str, Any]
    data: dict[str, Any]
    trainer: dict[str, Any]


def own_settings(own: OwnData, recipe: TrainingRecipe, weights: str | None) -> OwnSettings:
    """What follows from the data and the recipe; the augmentation is left to the base."""
    if own.start is None:
        model = _own_model(own, recipe, weights)
    else:
        model = {**own.start.arguments, "image_size": own.image_size, "weights": weights}
        if own.fitted.max_detections is not None:
            model["max_detections"] = own.fitted.max_detections
    task = task_settings(recipe, _WEIGHT_DECAY[own.found.task])
    if own.start is not None and own.start.task == "detection":
        task["loss"] = SSDLoss() if own.start.score_function == "softmax" else FocalLoss()
    if own.fitted.class_weights is not None:
        task["loss"] = SegmentationCrossEntropy(class_weights=own.fitted.class_weights)
    root = str(own.found.root.resolve())
    data = {**own.found.arguments, "root": root, "batch_size": own.batch_size}
    if own.fitted.tiles is not None:
        data["tile_size"] = own.fitted.tiles.tiling.option
    if own.fitted.repeats is not None:
        data["repeat_threshold"] = own.fitted.repeats.threshold
    return OwnSettings(model, task, data, {"max_steps": recipe.num_steps, **scoring_options(recipe)})


def task_settings(recipe: TrainingRecipe, weight_decay: float) -> dict[str, Any]:
    """Arguments of a task that a recipe gives, for one data set or several."""
    return {
        "optimizer": partial(AdamW, lr=recipe.lr, weight_decay=weight_decay, fused=True),
        "reference_batch": recipe.batch_size,
        "backbone_lr_factor": recipe.backbone_lr_factor,
        "warmup_steps": recipe.warmup_steps,
        "ema_decay": recipe.ema_decay,
        "freeze_until": recipe.freeze_until,
        "freeze_norms": recipe.freeze_norms,
    }


def _own_model(own: OwnData, recipe: TrainingRecipe, weights: str | None) -> dict[str, Any]:
    """Arguments of the family's own model."""
    family, _, backbone = own.model.partition("_")
    model: dict[str, Any] = {"backbone": backbone, "image_size": own.image_size}
    _, has_siblings = own_config(family)
    if has_siblings:
        model["head"] = family
    resize, is_for_masks = own.fitted.resize, own.found.task == "segmentation"
    if resize is not None and (is_for_masks or resize.mode == "letterbox"):
        model["mode"] = resize.mode
    model |= {"norm_momentum": recipe.norm_momentum, "weights": weights}
    if own.fitted.max_detections is not None:
        model["max_detections"] = own.fitted.max_detections
    if own.fitted.anchors is not None:
        model["anchors"] = own.fitted.anchors
    return model | _pixels(own.pixels)


def _pixels(found: FoundPixels) -> dict[str, Any]:
    """Arguments of a model for other pictures than 8-bit RGB."""
    if found.pixels == RGB:
        return {}
    channels, value_range = found.pixels.channels, found.pixels.value_range
    return {"in_channels": channels, "value_range": value_range, "mean": found.mean, "std": found.std}


def own_experiment(own: OwnData, recipe: TrainingRecipe, weights: str | None) -> Experiment:
    """The experiment that the written config defines."""
    base, _ = load_experiment(shipped_configs()[own_config(own.model.partition("_")[0])[0]], ())
    settings = own_settings(own, recipe, weights)
    augmentation = parameters(base.data)["augmentation"]
    if own.fitted.crop_size is not None:
        augmentation = replace(augmentation, crop_size=own.fitted.crop_size)
    if own.pixels.fill is not None:
        augmentation = replace(augmentation, fill=own.pixels.fill)
    module = getattr(format_modules, own.found.data_module)
    return replace(
        base,
        model=partial(_model_function(own, base), **settings.model),
        task=partial(base.task, **settings.task),
        data=partial(module, **settings.data, augmentation=augmentation),
        trainer=settings.trainer,
        recipe="fixed",
    )


def _model_function(own: OwnData, base: Experiment) -> Callable[..., Any]:
    """What builds the model: the base's function, or that of what training starts from."""
    if own.start is None:
        return base.model
    started, _ = load_experiment(shipped_configs()[own.start.config], ())
    return started.model.func if isinstance(started.model, partial) else started.model
