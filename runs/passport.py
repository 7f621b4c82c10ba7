"""The passport of a weights file: what must be known to use the weights, and to build their model again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pocketvision.core.command import CONFIGS, load_config, shipped_configs
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.core.layers import BatchNorm
from pocketvision.core.resize import tiling_of
from pocketvision.core.weights import count_numbers, read_passport
from pocketvision.datasets.data_module import AnyData
from pocketvision.models import VisionModel
from pocketvision.published.load import file_class_names
from pocketvision.published.provenance import describe_source
from pocketvision.runs.build import sources_of

_GIVEN = ("weights", "class_names")


def make_passport(model: VisionModel, experiment: Experiment, **provenance: object) -> dict[str, Any]:
    """The model's own facts, its builder and what is known of the weights (not what is None): ``source``,
    ``url``, ``sha256``, ``licence``, ``started_from``, ``class_ids``, ``metrics``."""
    known = {key: value for key, value in provenance.items() if value is not None}
    return {**model.passport(), "builder": describe_builder(experiment.model), **known}


def training_facts(model: VisionModel, experiment: Experiment, data: AnyData) -> dict[str, Any]:
    """What the passport of trained weights says of their origin.

    ``started_from`` is :func:`describe_source` of the weights that training started from, ``class_ids``
    the ids of the model's classes in the annotation files, None where these have no such class.
    ``is_norm_folded`` says that BatchNorms are the frozen identities that a file with folded ones left.
    """
    origins = [describe_source(model, s) for s in sources_of(parameters(experiment.model).get("weights"))]
    if len(origins) > 1:
        origins = [{"source": ", ".join(origin["source"] for origin in origins)}]
    ids = getattr(data.records(data.val_split), "category_ids", None)
    return {
        "started_from": origins[0] if origins else None,
        "class_ids": None if ids is None else [None if number < 0 else number for number in ids],
        "is_norm_folded": has_folded_norms(model) or None,
    }


def has_folded_norms(model: VisionModel) -> bool:
    """Whether any BatchNorm is frozen with statistics that were never measured."""
    norms = [layer for layer in model.modules() if isinstance(layer, BatchNorm) and layer.is_frozen]
    return any(
        norm.running_mean is not None
        and norm.running_var is not None
        and not norm.running_mean.any()
        and bool((norm.running_var == 1).all())
        for norm in norms
    )


def describe_builder(model: Callable[..., VisionModel]) -> dict[str, Any] | None:
    """A shipped config's model function and its arguments as JSON; None for a user's own code.

    A run's copy of a shipped config is the shipped one.
    """
    function = model.func if isinstance(model, partial) else model
    arguments = dict(model.keywords) if isinstance(model, partial) else {}
    code = getattr(function, "__code__", None)
    if code is None or not _is_shipped(Path(code.co_filename).resolve()):
        return None
    values = {name: value for name, value in arguments.items() if name not in _GIVEN}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(values))
    except TypeError:
        return None  # an argument that is an object of the user's
    return {"config": Path(code.co_filename).stem, "function": function.__name__, "arguments": plain}


def _is_shipped(file: Path) -> bool:
    shipped = CONFIGS / file.name
    return file == shipped or (
        file.is_file() and shipped.is_file() and file.read_bytes() == shipped.read_bytes()
    )


def build_from_passport(passport: Mapping[str, Any], path: Path) -> VisionModel:
    """The model that a weights file belongs to, without its weights. Runs shipped configs only.

    Raises:
        InputError: the file does not say, names something that this version does not ship, or describes
            a model of another size than its tensors.
    """
    builder = passport.get("builder")
    if not isinstance(builder, Mapping):
        raise InputError(
            f"{path} does not say how to build its model (its config was not a shipped one): "
            "load it with that config, or from its run folder."
        )
    build = _find_function(builder, path)
    try:
        arguments = {key: tuples(value) for key, value in builder.get("arguments", {}).items()}
        if stated := [key for key in _GIVEN if key in arguments]:  # it must not choose what else is read
            raise ValueError(f"it states {stated[0]}")
        if "weights" in parameters(build):
            arguments["weights"] = None
        build = partial(build, tuple(passport["class_names"]), **arguments)
        with torch.device("meta"):  # which takes no memory, whatever the file asks for
            num_values = sum(value.numel() for value in build().state_dict().values())
        if num_values != count_numbers(path):
            raise ValueError(f"its model has {num_values} numbers, its tensors {count_numbers(path)}")
        model: VisionModel = build()
        tiling = tiling_of(passport.get("resize", {}).get("tiling"))
        model.resize = replace(model.resize, tiling=tiling)
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} has a builder that does not fit this version: {reason}.") from error
    return model


def _find_function(builder: Mapping[str, object], path: Path) -> Callable[..., VisionModel]:
    name, function = builder.get("config"), builder.get("function")
    shipped = shipped_configs()
    module = load_config(shipped[name])[0] if isinstance(name, str) and name in shipped else None
    build: Callable[..., VisionModel] | None = getattr(module, str(function), None)
    # Only functions that the config itself defines: a file must not choose what else is called.
    if not callable(build) or getattr(build, "__module__", None) != getattr(module, "__name__", None):
        raise InputError(f"{path} needs the model of '{name}', which this version does not ship: update.")
    return build


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def as_trained(experiment: Experiment, overrides: Sequence[str], weights: Path) -> Experiment:
    """The experiment with the class names that the weights state, and with the model arguments that they
    were trained or imported with, if that was this config; what the user overrides stays.

    Raises:
        InputError: the overrides name other classes.
    """
    names = file_class_names(weights)
    is_asked = any(word.startswith("class_names=") for word in overrides)
    if is_asked and names is not None and tuple(names) != tuple(experiment.class_names or ()):
        raise InputError(
            f"{weights} is for the classes {', '.join(map(str, names))}, and class_names can't be changed: "
            "leave them out."
        )
    if names is not None:
        experiment = replace(experiment, class_names=tuple(names))
    passport = read_passport(weights) if weights.suffix == ".safetensors" else {}
    builder, own = passport.get("builder"), describe_builder(experiment.model)
    if not builder or own is None or builder["config"] != own["config"]:
        return experiment
    stated = {word.partition("=")[0].removeprefix("model.") for word in overrides}
    arguments = {key: tuples(value) for key, value in builder["arguments"].items() if key not in stated}
    return replace(experiment, model=partial(experiment.model, **arguments))
