"""Whether the metadata of an exported file can be what an exporter wrote: types and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_SIDE = 16384
"""Pixels of an input's side."""
_MAX_BATCH, _MAX_CHANNELS = 65536, 16
_OUTPUTS: dict[str, tuple[list[str], ...]] = {
    "detection": (["class_logits", "box_deltas"], ["boxes", "scores", "labels", "num_detections"]),
    "segmentation": (["logits"], ["label_map"]),
    "classification": (["class_logits"],),
}


def check_metadata(values: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` with what is wrong of the metadata, as JSON gives it.

    Names of fields that are missing or too many are left to whoever builds an object of it.
    """
    task, names = values["task"], values["class_names"]
    if task == "joint":
        _check_joint(values)
        return
    _need(isinstance(task, str) and task in _OUTPUTS, "task is none of this version")
    _need(_is_list(names, (str, type(None))), "class_names is no list of names")
    known = [name for name in names if name is not None]
    _need(bool(known) and len(set(known)) == len(known), "class_names has no name, or one twice")
    _need(values["outputs"] in _OUTPUTS[task], "outputs are none that its task has")
    _check_common(values)
    if values.get("threshold") is not None:
        _need(_is_share(values["threshold"]), "threshold is no score from 0 to 1")
    if task == "detection":
        _check_detector(values, len(names))


def _check_joint(values: Mapping[str, Any]) -> None:
    """A model of several tasks: each part as if it were alone, and what they have in common."""
    parts, names = values["parts"], values["class_names"]
    _need(_is_list(parts, dict) and len(parts) > 1, "parts are not those of several tasks")
    for part in parts:
        check_metadata(part)
    _need(len({part["task"] for part in parts}) == len(parts), "parts has a task twice")
    own = [f"{part['task']}_{name}" for part in parts for name in part["outputs"]]
    _need(values["outputs"] == own, "outputs are none that its parts have")
    joined = [f"{part['task']}/{name or ''}" for part in parts for name in part["class_names"]]
    _need(names == joined, "class_names are not those of its parts")
    _check_common(values)


def _check_common(values: Mapping[str, Any]) -> None:
    _check_input(values)
    for name in ("source", "licence"):
        _need(isinstance(values.get(name), str | None), f"{name} is no text")
    _need(isinstance(values["weights_sha256"], str), "weights_sha256 is no text")
    _need(isinstance(values.get("has_float16", False), bool), "has_float16 is neither true nor false")
    if values.get("quantization") is not None:
        made = values["quantization"]
        _need(isinstance(made, Mapping) and _is_count(made["num_images"]), "quantization has no num_images")
        _need(_is_list(made["float_blocks"], str), "quantization has no float_blocks")


def _check_input(values: Mapping[str, Any]) -> None:
    resize, batch = values["resize"], values.get("batch")
    _need(isinstance(resize, Mapping), "resize has no fields")
    size = resize["image_size"]
    _need(
        isinstance(size, list) and len(size) == 2 and all(_is_count(side, MAX_SIDE) for side in size),
        f"image_size is no height and width from 1 to {MAX_SIDE}",
    )
    for name in ("mode", "interpolation"):
        _need(isinstance(resize.get(name, ""), str), f"{name} is no text")
    _need(isinstance(resize.get("antialias", False), bool), "antialias is neither true nor false")
    fill, share = resize.get("fill", 0), resize.get("crop_share", 1.0)
    _need(fill == 0 or _is_count(fill, 255), "fill is no byte")
    _need(_is_number(share) and 0 < share <= 1, "crop_share is no share")
    tiling = resize.get("tiling")
    _need(tiling is None or (isinstance(tiling, Mapping) and _is_share(tiling["overlap"])), "tiling is none")
    channels = _num_channels(resize.get("pixels"))
    for name in ("mean", "std"):
        _need(
            isinstance(values[name], list)
            and len(values[name]) == channels
            and all(map(_is_number, values[name])),
            f"{name} is not {'three numbers' if channels == 3 else 'a number a channel'}",
        )
    _need(all(value > 0 for value in values["std"]), "std is not above 0")
    _need(values.get("input_type", "uint8") in ("uint8", "float"), "input_type is neither uint8 nor float")
    _need(values.get("layout", "NCHW") == "NCHW", "layout is not NCHW")
    _need(batch is None or _is_count(batch, _MAX_BATCH), "batch is no number from 1")
    _need(isinstance(values.get("has_dynamic_size", False), bool), "has_dynamic_size is no truth value")


def _num_channels(pixels: Any) -> int:
    """What ``resize.pixels`` says, which RGB leaves out."""
    if pixels is None:
        return 3
    _need(
        isinstance(pixels, Mapping) and _is_count(pixels["channels"], _MAX_CHANNELS), "channels is no count"
    )
    limits = pixels.get("value_range")
    is_range = isinstance(limits, list) and len(limits) == 2 and all(map(_is_number, limits))
    _need(limits is None or is_range, "value_range is not two numbers")
    count: int = pixels["channels"]
    return count


def _check_detector(values: Mapping[str, Any], num_classes: int) -> None:
    post, anchors = values["postprocess"], values.get("anchors")
    _need(isinstance(post, Mapping) and isinstance(post["coder"], Mapping), "postprocess has no fields")
    for name in ("score_threshold", "iou_threshold"):
        _need(_is_share(post[name]), f"{name} is no share")
    for name in ("candidates_per_class", "max_detections", "first_round"):
        _need(_is_count(post[name]), f"{name} is no number from 1")
    _need(post["score_function"] in ("softmax", "sigmoid"), "score_function is none of this version")
    numbers = dict(post["coder"])
    _need(numbers.pop("kind", None) in (None, "distances"), "coder is none of this version")
    _need(all(_is_number(v) and v > 0 for v in numbers.values()), "coder is not of numbers above 0")
    reserved = post["reserved_labels"]
    is_label = isinstance(reserved, list) and all(r == 0 or _is_count(r, num_classes - 1) for r in reserved)
    _need(is_label, "reserved_labels are no labels")
    if "boxes" in values["outputs"]:
        return
    _need(
        isinstance(anchors, list)
        and bool(anchors)
        and all(isinstance(a, list) and len(a) == 4 and all(map(_is_number, a)) for a in anchors),
        "anchors are no boxes",
    )


def _need(condition: bool, fault: str) -> None:
    if not condition:
        raise ValueError(fault)


def _is_list(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(item, kinds) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and 0 <= value <= 1


def _is_count(value: object, most: int = 2**31) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
