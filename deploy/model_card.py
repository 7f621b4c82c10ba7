"""A model card: what a reader of a repository has to know of a model, from its weights' passport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pocketvision.costs.measure import measure_cost
from pocketvision.models import VisionModel

_TAGS = {
    "detection": "object-detection", "segmentation": "image-segmentation",
    "classification": "image-classification",
}  # fmt: skip
_SCORES = ("AP", "AP50", "AP75", "mIoU", "pixel_accuracy", "top1", "top5")


def card_of(model: VisionModel, passport: Mapping[str, Any], licence: str | None = None) -> str:
    """The card as Markdown with the hub's header: use, classes, scores with intervals, cost and limits."""
    licence = licence or passport.get("licence")
    height, width = model.resize.image_size
    cost = measure_cost(model, (height, width))
    names = ", ".join(_plain(name) for name in model.class_names if name is not None)
    header = ["---", "library_name: pocketvision", f"pipeline_tag: {_TAGS[str(passport['task'])]}"]
    header += [] if licence is None else ["license: other", f"license_name: {json.dumps(str(licence))}"]
    lines = [
        *header, "---", "", f"# {_plain(passport['builder']['config'])}: {passport['task']}", "",
        "```python", "import pocketvision", "",
        'model = pocketvision.load("hf://owner/name")  # this repository', "```", "",
        "The file is safetensors with a passport; opening it runs no code.", "",
        "| | |", "|---|---|",
        f"| classes | {names} |",
        f"| input | {height} x {width} pixels (height x width), RGB |",
        f"| parameters | {cost.params:,} |",
        f"| multiply-adds | {cost.madds:,} an image |",
        f"| licence of the weights | {_plain(licence or 'not stated')} |",
        f"| training started from | {_start(passport.get('started_from'))} |",
        "| latency | not measured: `pocketvision benchmark` measures it on your device |",
        "", *_scores(passport.get("metrics")), "", "## Limits", "",
        "The scores are of the images above; they may be lower for other cameras, light or places.",
        "Only the classes above are found.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _scores(metrics: Any) -> list[str]:
    if not isinstance(metrics, Mapping):
        return ["## Scores", "", "Not measured."]
    rows = [
        f"| {name} | {metrics[name]:.4f} | {_interval(metrics, name)} |"
        for name in _SCORES
        if isinstance(metrics.get(name), float)
    ]
    count, split = (_plain(metrics.get(key, "unknown")) for key in ("num_images", "split"))
    where = f"{count} images of the split {split}"
    return [
        "## Scores", "", f"On {where}; shares of 1.", "", "| | | 95% interval |", "|---|---|---|", *rows
    ]  # fmt: skip


def _interval(metrics: Mapping[str, Any], name: str) -> str:
    low, high = metrics.get(f"{name}_ci_low"), metrics.get(f"{name}_ci_high")
    is_known = isinstance(low, float) and isinstance(high, float)
    return f"{low:.4f} to {high:.4f}" if is_known else "not measured"


def _start(origin: Any) -> str:
    """The source of the first weights; of a path only its name, which says nothing of somebody's disk."""
    source = origin.get("source") if isinstance(origin, Mapping) else origin
    return (
        "fresh weights, or not stated"
        if source is None
        else _plain(str(source).replace("\\", "/").split("/")[-1])
    )


def _plain(value: object) -> str:
    """One line that Markdown and HTML show as it is."""
    text = " ".join(str(value).split())
    for sign in "\\`*_[]|<>":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return text
