"""How a segmenter's graph enlarges its logits behind the last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.layers import Sampling
from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.graph import FileGraph, Node, constant, reached_from

RESIZES = ("ResizeBilinear", "RESIZE_BILINEAR")


class LastResize(NamedTuple):
    """A resize behind all layers: its ``node``, the ``size`` of what it gives (None: only a run of the graph
    tells), and how it samples."""

    node: str
    size: Size | None
    sampling: Sampling


def sampling_of(node: Node) -> Sampling:
    """How a bilinear resize of TensorFlow's samples."""
    if node.attributes.get("align_corners"):
        return "align_corners"
    return "half_pixel" if node.attributes.get("half_pixel_centers") else "asymmetric"


def last_resizes(graph: FileGraph, layers: Sequence[str]) -> list[LastResize]:
    """The resizes that one after another enlarge what depends on all of a head's last ``layers``.

    Raises:
        InputError: the graph has several such chains; names their ends.
    """
    behind = {}
    for node in graph.values():
        if node.op in RESIZES:
            before = reached_from(graph, node.name)
            if before.issuperset(layers):
                behind[node.name] = before
    order = sorted(behind, key=lambda name: len(behind[name]))
    ends = [name for name in order if not any(name in behind[other] - {other} for other in order)]
    if len(ends) > 1 and len({_facts(graph, name) for name in ends}) > 1:
        raise InputError(f"its logits are resized in two ways, by {ends[0]} and {ends[1]}")
    chain = [name for name in order if name in behind[ends[0]]] if ends else []
    return [LastResize(name, *_facts(graph, name)) for name in chain]


def _facts(graph: FileGraph, name: str) -> tuple[Size | None, Sampling]:
    size = constant(graph, graph[name].inputs[1])
    is_known = size is not None and size.shape == (2,)
    return (int(size[0]), int(size[1])) if size is not None and is_known else None, sampling_of(graph[name])
