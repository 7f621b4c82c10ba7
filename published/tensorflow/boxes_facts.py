"""What a detector's graph says behind its head: scores, box coder, suppression and anchors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pocketvision.core.anchors import Shape, TensorFlowAnchors
from pocketvision.core.errors import InputError
from pocketvision.core.structures import Size
from pocketvision.published.tensorflow.graph import SAME_VALUE, FileGraph, Node, constant, skip_copies
from pocketvision.published.tensorflow.layers import Layer

OPERATOR = "TFLite_Detection_PostProcess"
_SCORES: Mapping[str, Literal["softmax", "sigmoid"]] = {
    "Sigmoid": "sigmoid", "LOGISTIC": "sigmoid", "Softmax": "softmax", "SOFTMAX": "softmax",
}  # fmt: skip
_SHAPING = {
    *SAME_VALUE, "Reshape", "ConcatV2", "CONCATENATION", "Squeeze", "Pack", "BiasAdd", "Clamp", "Slice",
    "StridedSlice", "Transpose", "RealDiv", "Identity", "SLICE",
}  # fmt: skip
"""What may stand between a head's last layer and its scores."""
_MAX_STEPS = 40
_EXACT, _LEAST_SCORE = 1e-4, 1e-3


def score_function(graph: FileGraph, nodes: Sequence[str]) -> Literal["softmax", "sigmoid"] | None:
    """The function that the values of all ``nodes`` reach, where there is one."""
    consumers: dict[str, list[Node]] = defaultdict(list)
    for node in graph.values():
        for source in node.inputs:
            consumers[source].append(node)
    found = {_reached(consumers, name) for name in nodes}
    return found.pop() if len(found) == 1 else None


def _reached(consumers: Mapping[str, list[Node]], name: str) -> Literal["softmax", "sigmoid"] | None:
    todo, seen = [name], {name}
    while todo:
        for node in consumers.get(todo.pop(), []):
            if node.op in _SCORES:
                return _SCORES[node.op]
            if node.op in _SHAPING and node.name not in seen:
                seen.add(node.name)
                todo.append(node.name)
    return None


def with_scores(graph: FileGraph, layers: Sequence[Layer]) -> list[Layer]:
    """The layers, the last ones marked by whether a score function follows, where that is so for some."""
    used = frozenset[int]().union(*(layer.links.inputs for layer in layers if layer.links))
    last = [index for index in range(len(layers)) if index not in used]
    scored = {index: score_function(graph, [layers[index].node]) is not None for index in last}
    if len(set(scored.values())) < 2:
        return list(layers)
    return [replace(layer, is_scored=scored.get(index)) for index, layer in enumerate(layers)]


def box_facts(graph: FileGraph) -> dict[str, Any]:
    """``variances``, ``iou_threshold``, ``max_detections`` and ``score_threshold`` as far as they are stated.

    Raises:
        InputError: boxes are coded otherwise than with one scale for centers and one for sizes.
    """
    options = next((node.attributes for node in graph.values() if node.op == OPERATOR), None)
    if options is None:
        return _suppression_constants(graph)
    scales = [float(options.get(f"{name}_scale", 0.0)) for name in ("y", "x", "h", "w")]
    if scales[0] != scales[1] or scales[2] != scales[3] or min(scales) <= 0:
        raise InputError(f"{OPERATOR} has the scales {', '.join(f'{scale:g}' for scale in scales)}")
    facts: dict[str, Any] = {"variances": (1 / scales[0], 1 / scales[2])}
    if "nms_iou_threshold" in options:
        facts["iou_threshold"] = _rounded(options["nms_iou_threshold"])
    if "max_detections" in options:
        facts["max_detections"] = int(options["max_detections"])
    if float(options.get("nms_score_threshold", 0.0)) > _LEAST_SCORE:
        facts["score_threshold"] = _rounded(options["nms_score_threshold"])
    return facts


def _rounded(value: Any) -> float:
    """A number that was stored as float32."""
    return round(float(value), 6)


def _suppression_constants(graph: FileGraph) -> dict[str, Any]:
    """The same from a graph in which TensorFlow suppresses the boxes itself."""
    values = {_rounded(v) for v in _named_constants(graph, "iou_threshold") if 0 < float(v) < 1}
    return {"iou_threshold": values.pop()} if len(values) == 1 else {}


def _named_constants(graph: FileGraph, ending: str) -> Iterator[Any]:
    for node in graph.values():
        if node.read is not None and node.name.endswith(ending) and "Suppression" in node.name:
            value = node.read()
            if value.size == 1:
                yield value.reshape(-1)[0]


def anchor_facts(graph: FileGraph, counts: Sequence[int], maps: Sequence[Size]) -> dict[str, Any]:
    """``scales`` and ``reduce_lowest`` of TensorFlow's anchors, or ``anchor_shapes``; nothing where the graph
    has neither anchors nor how they are made.

    ``counts`` are anchors a cell, ``maps`` the sizes of the maps.

    Raises:
        InputError: there are not as many anchors as the head predicts, or they lie elsewhere.
    """
    stored = _stored_shapes(graph, counts, maps)
    shapes, tolerance = (_generated_shapes(graph), _EXACT) if stored is None else stored
    if shapes is None:
        return usual_anchors(counts)
    if [len(row) for row in shapes] != list(counts):
        raise InputError(
            f"its anchors are {', '.join(str(len(row)) for row in shapes)} a cell, its head predicts "
            f"{', '.join(map(str, counts))}"
        )
    if (plain_form := _as_tensorflow(shapes, tolerance)) is not None:
        return plain_form
    return {"anchor_shapes": tuple(tuple((round(w, 5), round(h, 5)) for w, h in row) for row in shapes)}


def usual_anchors(counts: Sequence[int]) -> dict[str, Any]:
    """``reduce_lowest`` of TensorFlow's anchors, as many a cell as its own configs have.

    Raises:
        InputError: they have others.
    """
    plain = next((r for r in (True, False) if _counts(len(counts), r) == list(counts)), None)
    if plain is None:
        raise InputError(f"its anchors, {', '.join(map(str, counts))} a cell, are nowhere in the file")
    return {} if plain else {"reduce_lowest": False}


def _counts(num_maps: int, reduce_lowest: bool) -> list[int]:
    return TensorFlowAnchors(reduce_lowest=reduce_lowest).num_anchors(num_maps)


def _as_tensorflow(shapes: list[list[Shape]], tolerance: float) -> dict[str, Any] | None:
    """The arguments of TensorFlow's own layout, where it gives these shapes."""
    for reduce_lowest in (True, False):
        if _counts(len(shapes), reduce_lowest) != [len(row) for row in shapes]:
            continue
        first, last = shapes[0][1 if reduce_lowest else 0], shapes[-1][0]
        found = tuple(round(float(np.sqrt(w * h)), 4) for w, h in (first, last))
        for scales in ((0.2, 0.95), (found[0], found[1])):
            own = TensorFlowAnchors(*scales, reduce_lowest=reduce_lowest).shapes(len(shapes))
            flat = [np.array(list(chain(*rows))) for rows in (own, shapes)]
            if np.abs(flat[0] - flat[1]).max() <= tolerance:
                stated: dict[str, Any] = {} if scales == (0.2, 0.95) else {"scales": scales}
                return stated | ({} if reduce_lowest else {"reduce_lowest": False})
    return None


def _stored_shapes(
    graph: FileGraph, counts: Sequence[int], maps: Sequence[Size]
) -> tuple[list[list[Shape]], float] | None:
    """Shapes of the anchors (y, x, height, width) that the post-processing operator reads, and how exact."""
    node = next((node for node in graph.values() if node.op == OPERATOR), None)
    stored = constant(graph, node.inputs[2]) if node is not None and len(node.inputs) > 2 else None
    if stored is None:
        return None
    anchors: npt.NDArray[np.float64] = np.asarray(stored, np.float64).reshape(-1, 4)
    expected = sum(count * rows * columns for count, (rows, columns) in zip(counts, maps, strict=True))
    if len(anchors) != expected:
        raise InputError(f"it has {len(anchors)} anchors, its head predicts {expected}")
    steps = np.diff(np.unique(anchors))
    is_coarse = len(steps) > 0 and len(np.unique(anchors)) <= 256
    tolerance = max(_EXACT, float(steps.min()) * 0.51) if is_coarse else _EXACT
    shapes, start = [], 0
    for count, (rows, columns) in zip(counts, maps, strict=True):
        block = anchors[start : start + count * rows * columns].reshape(rows, columns, count, 4)
        start += count * rows * columns
        y = (np.arange(rows) + 0.5) / rows
        x = (np.arange(columns) + 0.5) / columns
        off = max(
            np.abs(block[..., 0] - y[:, None, None]).max(), np.abs(block[..., 1] - x[None, :, None]).max()
        )
        spread = np.ptp(block[..., 2:].reshape(-1, count, 2), axis=0).max()
        if off > tolerance or spread > tolerance:
            raise InputError(f"its anchors lie elsewhere than at the centers of {rows} x {columns} cells")
        sizes = block[..., 2:].reshape(-1, count, 2).mean(axis=0)
        shapes.append([(float(w), float(h)) for h, w in sizes])
    return shapes, tolerance


def _generated_shapes(graph: FileGraph) -> list[list[Shape]] | None:
    """Shapes from the constants of TensorFlow's anchor generator: scales and the roots of aspect ratios."""
    roots = [node for node in graph.values() if node.op == "Sqrt" and "AnchorGenerator" in node.name]
    shapes = []
    for root in roots:
        ratios = constant(graph, root.inputs[0])
        heights = next(
            (
                constant(graph, node.inputs[0])
                for node in graph.values()
                if node.op == "RealDiv" and len(node.inputs) == 2 and _is(graph, node.inputs[1], root)
            ),
            None,
        )
        if ratios is None or heights is None or ratios.shape != heights.shape:
            return None
        root_values = np.sqrt(ratios.astype(np.float64)).reshape(-1)
        pairs = zip(heights.astype(np.float64).reshape(-1), root_values, strict=True)
        shapes.append([(float(scale * ratio), float(scale / ratio)) for scale, ratio in pairs])
    return shapes or None


def _is(graph: FileGraph, name: str, node: Node) -> bool:
    found = skip_copies(graph, name)
    return found is not None and found.name == node.name
