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
from typing import TYPE_CHECKING, Any

from pocketvision.core.command import command, find_config, load_config, shipped_configs
from pocketvision.core.config import Experiment, apply_overrides, parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.registered import backbone_names, model_of, short_name, task_of

if TYPE_CHECKING:
    from pocketvision.core.structures import Size
    from pocketvision.costs.compare import CostComparison
    from pocketvision.costs.measure import Cost
    from pocketvision.costs.published import Published
    from pocketvision.costs.sharing import Sharing

BACKBONES = backbone_names()


@command
def main(argv: Sequence[str] | None = None) -> None:
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
    arguments = parser.parse_intermixed_args(argv)
    if arguments.paper:
        _print_paper(arguments.model, arguments.overrides, arguments.json)
        return
    if arguments.model is None:
        raise InputError("Name a config or a backbone, or give --paper for every published figure.")
    cost, size, sharing = _cost_of(arguments.model, parse_overrides(arguments.overrides))
    print(_json(arguments.model, size, cost, sharing) if arguments.json else _table(size, cost, sharing))


def _cost_of(name: str, options: Mapping[str, Any]) -> tuple[Cost, Size, Sharing | None]:
    from pocketvision.runs.foreign import is_foreign

    if is_foreign(name):
        return *_file_cost(name, options), None
    config = _find(name)
    return (*_backbone_cost(name, options), None) if config is None else _config_cost(config, options)


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


def _file_cost(name: str, options: Mapping[str, Any]) -> tuple[Cost, Size]:
    """The cost of the model that others' file holds."""
    from pocketvision.costs.measure import measure_cost
    from pocketvision.costs.reference_models import parse_image_size
    from pocketvision.runs.ready_model import load_model

    if unknown := [key for key in options if key != "image_size"]:
        raise InputError(
            f"{name} says itself what it is: leave {unknown[0]} out, only image_size can change."
        )
    model = load_model(name)
    size = parse_image_size(options["image_size"]) if options else model.resize.image_size
    return _measured(measure_cost, model, size), size


def _backbone_cost(name: str, options: Mapping[str, Any]) -> tuple[Cost, Size]:
    from pocketvision.costs.measure import measure_cost
    from pocketvision.costs.reference_models import reference_model

    reference = reference_model(name, options)
    cost = _measured(measure_cost, reference.model, reference.image_size, in_channels=reference.in_channels)
    return cost, reference.image_size


def _config_cost(config: Path, overrides: Mapping[str, Any]) -> tuple[Cost, Size, Sharing | None]:
    from pocketvision.costs.measure import measure_cost
    from pocketvision.costs.reference_models import parse_image_size
    from pocketvision.costs.sharing import measure_sharing
    from pocketvision.models import JointModel

    experiment = getattr(load_config(config)[0], "config", None)
    if not isinstance(experiment, Experiment):
        raise InputError(f"{config} defines no experiment: assign an Experiment to the name 'config'.")
    overrides = dict(overrides)
    num_classes = overrides.pop("num_classes", None)
    size = parse_image_size(overrides.pop("image_size")) if "image_size" in overrides else None
    if size and "image_size" in parameters(experiment.model):
        overrides["model.image_size"] = size
    experiment = apply_overrides(experiment, overrides)
    model = _build(experiment, _class_names(config, experiment, num_classes))
    size = size or model.resize.image_size
    cost = _measured(measure_cost, model, size)
    sharing = _measured(measure_sharing, model, size, cost) if isinstance(model, JointModel) else None
    return cost, size, sharing


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
    alone = ((task, readable(n), readable(m)) for task, (n, m) in sharing.alone.items())
    return [
        *(f"{task} alone: {n} parameters, {m} multiply-adds" for task, n, m in alone),
        f"one forward pass for all: {sharing.share_of_madds:.2f} of the sum of their multiply-adds, "
        f"{sharing.share_of_params:.2f} of their parameters",
    ]


def _table(size: Size, cost: Cost, sharing: Sharing | None) -> str:
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


def readable(count: float) -> str:
    """3504872 -> "3.50M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.4g}{unit}" if count / size >= 100 else f"{count / size:.2f}{unit}"
    return str(count)


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of equal width: the first ``left`` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _print_paper(name: str | None, overrides: Sequence[str], as_json: bool) -> None:
    if overrides:
        raise InputError(f"--paper compares the published models as they are: leave out {overrides[0]}.")
    from pocketvision.costs.compare import PUBLISHED, compare

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
        tables = [_paper_table(found)] if found else []
        print("\n\n".join([*tables, *([_dense_table()] if is_dense else [])]))


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


def _dense_table() -> str:
    """Published dense detectors, none of which is built here."""
    from pocketvision.costs.dense_detectors import DENSE_DETECTORS

    rows = [
        (row.source, row.model, "x".join(map(str, row.image_size)), f"{row.params}M", f"{row.flops}G",
         readable(row.madds), row.ap)
        for row in DENSE_DETECTORS
    ]  # fmt: skip
    head = ("source", "model", "input", "params", "published FLOPs", "multiply-adds", "AP")
    note = "Others' dense detectors, to compare gfl_* with: two of their FLOPs are one multiply-add here."
    return "\n".join([*aligned([head, *rows], left=3), "", note])


def _paper_table(found: Sequence[CostComparison]) -> str:
    from pocketvision.costs.published import CONVENTIONS

    errata = list(dict.fromkeys(row.erratum for row in found if row.erratum))
    conventions = list(dict.fromkeys(row.convention for row in found))
    rows = [
        (
            row.source,
            row.model,
            row.quantity,
            "" if row.convention == "plain" else row.convention,
            row.printed,
            f"{row.ours:,.0f}" if row.ours >= 1000 else f"{row.ours:.2f}",
            f"{100 * row.deviation:+.2f} %",
            "=" if row.has_printed_digits else "",
            f"[{errata.index(row.erratum) + 1}]" if row.erratum else "",
        )
        for row in found
    ]
    head = ("source", "model", "quantity", "counted", "published", "ours", "deviation", "", "")
    notes = [f"[{number}] {text}" for number, text in enumerate(errata, start=1)]
    legend = [f"{name}: {CONVENTIONS[name]}" for name in conventions if name != "plain"]
    equal = "=: ours, rounded or with further digits cut off, is what is printed"
    return "\n".join([*aligned([head, *rows], left=4), "", equal, *notes, *legend])


if __name__ == "__main__":
    sys.exit(main())
