"""Parameters, multiply-adds and memory of a model: python tools/cost.py CONFIG|BACKBONE [key=value ...]"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pocketvision.core.command import command, find_config, load_config, shipped_configs
from pocketvision.core.config import Experiment, apply_overrides, parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.registered import backbone_names, model_of, short_name, task_of

if TYPE_CHECKING:
    from pocketvision.core.structures import Size
    from pocketvision.costs.measure import Cost
    from pocketvision.costs.published import Published
    from pocketvision.costs.sharing import Sharing

BACKBONES = backbone_names()


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_intermixed_args(argv)
    if arguments.paper:
        _print_paper(arguments.model, arguments.overrides, arguments.json)
        return
    if arguments.model is None:
        raise InputError("Name a config or a backbone, or give --paper for every published figure.")
    groups = None if arguments.split is None else _groups(arguments.split)
    counted = _model_of(arguments.model, parse_overrides(arguments.overrides))
    if groups is not None:
        print(_split(arguments.model, counted, groups, arguments.json))
        return
    cost, sharing = _costs(counted)
    as_text = _json if arguments.json else _table
    print(as_text(arguments.model, counted.image_size, cost, sharing))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pocketvision cost",
        description="Count parameters, multiply-adds and peak activation memory (float32, one image).",
        epilog=f"Backbones: {', '.join(BACKBONES)}. Shipped configs: {', '.join(shipped_configs())}.",
    )
    parser.add_argument(
        "model",
        metavar="CONFIG|BACKBONE|FILE",
        nargs="?",
        help="a config, a backbone with its 1000-class head, or others' .tflite, .pb, .index or .pth",
    )
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        help="image_size=512x1024, num_classes=80; of a config part.key; of a backbone width_mult=, "
        "width_rule=, minimalistic=, reduced_tail=, output_stride=, head=classifier|ssdlite|lraspp|...",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--paper", action="store_true", help="compare with published figures (of all models)")
    parser.add_argument(
        "--split",
        metavar="auto|T",
        help="peak memory with blocks run in T groups of channels (arXiv:1801.04381, sec. 5.1); auto: the "
        "smallest T that reaches the lowest peak and costs little time on this machine",
    )
    return parser


class _Counted(NamedTuple):
    """A model and the image that it is counted for."""

    model: Any
    image_size: Size
    in_channels: int


def _model_of(name: str, options: Mapping[str, Any]) -> _Counted:
    from pocketvision.runs.foreign import is_foreign

    if is_foreign(name):
        model, size = _file_model(name, options)
    elif config := _find(name):
        model, size = _config_model(config, options)
    else:
        from pocketvision.costs.reference_models import reference_model

        reference = reference_model(name, options)
        return _Counted(reference.model, reference.image_size, reference.in_channels)
    return _Counted(model, size or model.resize.image_size, model.resize.pixels.channels)


def _costs(counted: _Counted) -> tuple[Cost, Sharing | None]:
    from pocketvision.costs.measure import measure_cost
    from pocketvision.costs.sharing import measure_sharing
    from pocketvision.models import JointModel

    model, size, in_channels = counted
    cost = _measured(measure_cost, model, size, in_channels=in_channels)
    sharing = _measured(measure_sharing, model, size, cost) if isinstance(model, JointModel) else None
    return cost, sharing


def _groups(text: str) -> int:
    """Of --split; 0 for auto."""
    if text != "auto" and not (text.isdecimal() and int(text) > 1):
        raise InputError(f"--split is '{text}': give a number of groups from 2, or auto.")
    return 0 if text == "auto" else int(text)


def _split(name: str, counted: _Counted, groups: int, as_json: bool) -> str:
    from pocketvision.costs.splitting import ChosenSplit, choose_groups, plan_split
    from pocketvision.costs.tables import split_table

    model, size, in_channels = counted
    if groups:
        chosen = ChosenSplit(_measured(plan_split, model, size, groups, in_channels), {})
    else:
        chosen = _measured(choose_groups, model, size, in_channels)
    if not as_json:
        return split_table(chosen)
    return json.dumps({"model": name, "image_size": size, **asdict(chosen)}, indent=1)


def _find(name: str) -> Path | None:
    """The config file, or None for a backbone."""
    if name in BACKBONES:
        return None
    try:
        return find_config(name)
    except InputError as error:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(f"{error} Backbones:{hint} {', '.join(BACKBONES)}.") from None


def _file_model(name: str, options: Mapping[str, Any]) -> tuple[Any, Size | None]:
    """The model that others' file holds, and the image size if one is stated."""
    from pocketvision.costs.reference_models import parse_image_size
    from pocketvision.runs.ready_model import load_model

    if unknown := [key for key in options if key != "image_size"]:
        raise InputError(
            f"{name} says itself what it is: leave {unknown[0]} out, only image_size can change."
        )
    return load_model(name), parse_image_size(options["image_size"]) if options else None


def _config_model(config: Path, overrides: Mapping[str, Any]) -> tuple[Any, Size | None]:
    """A config's model, and the image size if one is stated."""
    from pocketvision.costs.reference_models import parse_image_size

    experiment = getattr(load_config(config)[0], "config", None)
    if not isinstance(experiment, Experiment):
        raise InputError(f"{config} defines no experiment: assign an Experiment to the name 'config'.")
    overrides = dict(overrides)
    num_classes = overrides.pop("num_classes", None)
    size = parse_image_size(overrides.pop("image_size")) if "image_size" in overrides else None
    if size and "image_size" in parameters(experiment.model):
        overrides["model.image_size"] = size
    experiment = apply_overrides(experiment, overrides)
    return _build(experiment, _class_names(config, experiment, num_classes)), size


def _class_names(config: Path, experiment: Experiment, num_classes: Any) -> Sequence[str | None]:
    if num_classes is not None:
        if type(num_classes) is not int or num_classes < 1:
            raise InputError(f"num_classes is {num_classes!r}: give a number of classes, as num_classes=80.")
        return [f"class{i}" for i in range(num_classes)]
    if experiment.class_names is None:
        raise InputError(f"{config.stem} takes its classes from the data: say how many, as num_classes=80.")
    return experiment.class_names


def _build(experiment: Experiment, class_names: Sequence[str | None]) -> Any:
    without = {"weights": None} if "weights" in parameters(experiment.model) else {}
    try:
        return experiment.model(tuple(class_names), **without)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise InputError(f"The model can't be built: {' '.join(str(error).split())}") from error


def _measured(measure: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return measure(*arguments, **options)
    except ValueError as error:
        raise InputError(str(error)) from error


def _json(name: str, size: Size, cost: Cost, sharing: Sharing | None) -> str:
    totals = {key: value for key, value in vars(cost).items() if key not in ("layers", "ops")}
    if sharing is not None:
        alone = {task: {"params": params, "madds": madds} for task, (params, madds) in sharing.alone.items()}
        shares = {"params": sharing.share_of_params, "madds": sharing.share_of_madds}
        totals |= {"alone": alone, "share_of_sum": shares}
    layers = [asdict(layer) for layer in cost.layers]
    return json.dumps({"model": name, "image_size": size, **totals, "layers": layers}, indent=1)


def _shared(sharing: Sharing) -> list[str]:
    """What the tasks of a model would cost one by one."""
    from pocketvision.costs.tables import readable

    alone = ((task, readable(n), readable(m)) for task, (n, m) in sharing.alone.items())
    return [
        *(f"{task} alone: {n} parameters, {m} multiply-adds" for task, n, m in alone),
        f"one forward pass for all: {sharing.share_of_madds:.2f} of the sum of their multiply-adds, "
        f"{sharing.share_of_params:.2f} of their parameters",
    ]


def _table(name: str, size: Size, cost: Cost, sharing: Sharing | None) -> str:
    from pocketvision.costs.tables import aligned, readable

    rows = [
        (
            layer.name,
            layer.kind,
            "unused" if layer.output_shape is None else "x".join(map(str, layer.output_shape[1:])),
            f"{layer.params:,}",
            f"{layer.madds:,}",
            f"{layer.memory / 1e6:.2f}",
        )
        for layer in cost.layers
    ]
    total = ("total", "", "", f"{cost.params:,}", f"{cost.madds:,}", f"{cost.memory / 1e6:.2f}")
    head = ("layer", "kind", "output", "params", "multiply-adds", "memory MB")
    summary = (
        f"image {size[0]}x{size[1]}: {readable(cost.params)} parameters "
        f"({readable(cost.params_without_norm)} without BatchNorm), {readable(cost.madds)} multiply-adds, "
        f"peak of activations {cost.memory / 1e6:.2f} MB in float32"
    )
    lines = [] if sharing is None else _shared(sharing)
    return "\n".join([*aligned([head, *rows, total], left=3), "", summary, *lines])


def _print_paper(name: str | None, overrides: Sequence[str], as_json: bool) -> None:
    if overrides:
        raise InputError(f"--paper compares the published models as they are: leave out {overrides[0]}.")
    from pocketvision.costs.compare import PUBLISHED, compare
    from pocketvision.costs.tables import dense_table, paper_table

    rows = PUBLISHED if name is None else [row for row in PUBLISHED if _is_of(row, name)]
    is_dense = name is None or (model_of(Path(name).stem) or "").startswith("gfl_")
    if name is not None and not rows and not is_dense:
        raise InputError(f"No published costs are known for {name}: --paper without a name prints all.")
    found = list(compare(rows))
    if as_json and found:
        print(json.dumps([comparison._asdict() for comparison in found], indent=1))
    elif as_json:
        from pocketvision.costs.dense_detectors import DENSE_DETECTORS

        print(json.dumps([{**row._asdict(), "madds": row.madds} for row in DENSE_DETECTORS], indent=1))
    else:
        tables = [paper_table(found)] if found else []
        print("\n\n".join([*tables, *([dense_table()] if is_dense else [])]))


def _is_of(row: Published, name: str) -> bool:
    """Whether a row is of a backbone, or of a config's backbone and task, by the config's name."""
    from pocketvision.costs.published import PublishedCost
    from pocketvision.costs.reference_models import HEADS

    if _find(name) is None:
        return bool(row.model.split()[0] == name)
    model = model_of(Path(name).stem)
    if model is None or not isinstance(row, PublishedCost):
        return False
    family, _, backbone = model.partition("_")
    found = re.search(r"head=(\w+)", row.model)
    head = found[1] if found else "classifier"
    same_task = HEADS[head].is_segmenter if task_of(model) == "segmentation" else head == family
    return same_task and short_name(row.model.split()[0]) == backbone


if __name__ == "__main__":
    sys.exit(main())
