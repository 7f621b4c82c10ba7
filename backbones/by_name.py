"""Backbones by their short names, with the first of several lists of features that they have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pocketvision.core.protocols import Backbone
from pocketvision.core.registered import backbone_names, short_name

Builder = Callable[..., Backbone]
"""Takes ``out_features`` by name; says with a ValueError which features it does not have."""


def find_builder(name: str) -> Builder:
    """The function called ``name`` in ``backbones.__all__``, with or without ``mobilenet_``.

    Raises:
        ValueError: there is none; lists those that there are.
    """
    from pocketvision import backbones

    for full in backbone_names():
        if name in (full, short_name(full)):
            builder: Builder = getattr(backbones, full)
            return builder
    raise ValueError(f"backbone is {name!r}: choose from {', '.join(map(short_name, backbone_names()))}.")


def build_with(builder: Builder, *choices: Sequence[str], **options: Any) -> Backbone:
    """Build a backbone with the first of several lists of features that it has.

    Options that the builder does not know are left out, but for weights, widths and forms.

    Raises:
        ValueError: it has none of the lists, refuses an option, or takes three channels only.
        TypeError: ``weights``, ``widths`` or ``forms`` are given to one that takes none.
    """
    known = inspect.signature(builder).parameters
    if "in_channels" not in known and options.get("in_channels", 3) != 3:
        raise ValueError(
            f"This backbone takes three channels, not {options['in_channels']}: choose one of ours."
        )
    kept = {
        key: value
        for key, value in options.items()
        if key in known or (key in ("weights", "widths", "forms") and value is not None)
    }
    *preferred, last = choices
    for features in preferred:
        try:
            return builder(out_features=features, **kept)
        except ValueError:  # the last list says whether it is for the features
            continue
    return builder(out_features=last, **kept)


def hidden_channels(builder: Builder) -> int | None:
    """Width of the layer between pooling and class logits of the paper's classifier, as in MobileNetV3.

    None where a classifier has no such layer. There the last convolution of the backbone is the
    classifier's, and other heads read the maps before it.
    """
    channels: int | None = getattr(builder, "hidden_channels", None)
    return channels
