"""Decoding and class-wise NMS as ONNX operators, appended to a detector's raw outputs.

It needs only the metadata, so it also completes a graph that was quantized before: what it adds is float32.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from pocketvision.core.boxes import SSDBoxCoder, to_center_size
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.models import SSDPostprocess

NMS_PREFIX = "nms_"
"""With which the names of all added nodes begin."""

_HEADER = """<ir_version: 10, opset_import: ["" : 18]>
tail (float[batch, A, C] class_logits, float[batch, A, 4] box_deltas)
  => (float[batch, M, 4] boxes, float[batch, M] scores, int64[batch, M] labels, int64[batch] num_detections)
"""

# Selected pairs are put back to their places in a (batch, K, A) map of zeros, of which one TopK an image
# is the result: no loop over images, and the padding has score 0 by itself.
_BODY = """{
  by_class = Transpose <perm = [0, 2, 1]> (probabilities)
  all_scores = Mul (by_class, is_named)
  best_scores, _ = TopK <axis = -1> (all_scores, class_limit)
  last_best = Slice (best_scores, minus_one, end, two)
  is_candidate = GreaterOrEqual (all_scores, last_best)
  candidates = Where (is_candidate, all_scores, zero)

  first = Slice (box_deltas, zero_1d, two, two)
  second = Slice (box_deltas, two, four, two)
  DECODE
  corners = Concat <axis = -1> (low, high)
  above = Max (corners, zero)
  all_boxes = Min (above, image_limits)

  selected = NonMaxSuppression (all_boxes, candidates, class_limit_output, iou_threshold, score_threshold)
  selected_scores = GatherND (candidates, selected)
  nothing = Mul (candidates, zero)
  kept = ScatterND (nothing, selected, selected_scores)
  flat = Reshape (kept, flat_shape)
  scores, place = TopK <axis = 1> (flat, num_outputs)
  is_box = Greater (scores, zero)
  label = Div (place, num_anchors)
  labels = Where (is_box, label, minus_one)
  anchor = Mod (place, num_anchors)
  anchor_index = Unsqueeze (anchor, two)
  picked = GatherND <batch_dims = 1> (all_boxes, anchor_index)
  is_box_column = Unsqueeze (is_box, two)
  boxes = Where (is_box_column, picked, zero)
  is_box_int = Cast <to = 7> (is_box)
  num_detections = ReduceSum <keepdims = 0> (is_box_int, one)
}"""
_SSD = """move = Mul (first, shift_scale)
  center = Add (move, anchor_center)
  scaled_size = Mul (second, size_variance)
  bounded_size = Min (scaled_size, max_log_size)
  growth = Exp (bounded_size)
  half = Mul (growth, anchor_half)
  low = Sub (center, half)
  high = Add (center, half)"""
_DISTANCES = """low_distance = Mul (first, anchor_half)
  high_distance = Mul (second, anchor_half)
  low = Sub (anchor_center, low_distance)
  high = Add (anchor_center, high_distance)"""
_SCORES = {
    "softmax": "probabilities_all = Softmax <axis = -1> (class_logits)\n"
    "  probabilities = Slice (probabilities_all, zero_1d, minus_one, two)",
    "sigmoid": "probabilities = Sigmoid (class_logits)",
}


def add_nms(model: Any, artifact: Artifact) -> None:
    """Append decoding, clipping and NMS to the outputs ``class_logits`` and ``box_deltas`` of a ModelProto.

    Of several tasks they are those of the detector, and the others stay. It gives what
    :class:`SSDPostprocess` gives, padded to ``max_detections``: candidates are the best
    ``candidates_per_class`` of each class above the threshold.

    Raises:
        InputError: the detector decodes boxes in a way that is unknown here.
    """
    whole, prefix, onnx = artifact, "", optional("onnx")
    if artifact.parts:
        artifact, prefix = next(part for part in artifact.parts if part.has_nms), "detection_"
    postprocess = artifact.postprocess
    coder = None if postprocess is None else postprocess.coder
    if postprocess is None or not isinstance(coder, SSDBoxCoder | DistanceBoxCoder):
        raise InputError("Only SSD's box coder and distances can be exported with --nms: leave it out.")
    body = _BODY.replace("{", "{\n  " + _SCORES[postprocess.score_function], 1)
    body = body.replace("DECODE", _SSD if isinstance(coder, SSDBoxCoder) else _DISTANCES)
    tail = onnx.parser.parse_model(_HEADER + body).graph
    constants = _constants(artifact, postprocess, coder)
    kept = {"class_logits", "box_deltas", *(output.name for output in tail.output)}
    for node in tail.node:
        node.name = f"{NMS_PREFIX}{node.output[0]}"
        for names in (node.input, node.output):
            names[:] = [f"{prefix}{name}" if name in kept else f"{NMS_PREFIX}{name}" for name in names]
    model.graph.node.extend(tail.node)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, f"{NMS_PREFIX}{name}") for name, value in constants.items()
    )
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    for output in tail.output:
        shape = output.type.tensor_type.shape
        shape.dim[0].CopyFrom(batch)
        if len(shape.dim) > 1:
            shape.dim[1].dim_value = int(constants["num_outputs"][0])
        output.name = f"{prefix}{output.name}"
    outputs = {output.name: output for output in (*deepcopy(model.graph.output), *tail.output)}
    del model.graph.output[:]
    model.graph.output.extend(outputs[name] for name in whole.outputs)


def _constants(
    artifact: Artifact, postprocess: SSDPostprocess, coder: SSDBoxCoder | DistanceBoxCoder
) -> dict[str, Any]:
    num_anchors, num_classes = len(artifact.anchor_boxes), len(artifact.class_names)
    center, size = to_center_size(artifact.anchor_boxes)
    is_named = torch.ones(num_classes, 1)
    is_named[list(postprocess.reserved_labels)] = 0.0
    height, width = artifact.image_size
    num_outputs = min(postprocess.max_detections, num_anchors * num_classes)
    integers = {
        "zero_1d": [0], "one": [1], "two": [2], "four": [4], "minus_one": [-1], "end": [1 << 31],
        "class_limit": [min(postprocess.candidates_per_class, num_anchors)],
        "class_limit_output": [postprocess.max_detections],
        "num_anchors": [num_anchors], "num_outputs": [num_outputs], "flat_shape": [0, -1],
    }  # fmt: skip
    numbers = {
        "zero": 0.0,
        "image_limits": [width, height, width, height],
        "iou_threshold": [postprocess.iou_threshold], "score_threshold": [postprocess.score_threshold],
    }  # fmt: skip
    tensors = {
        "is_named": is_named,
        "anchor_center": center,
        "anchor_half": size / 2,
    }
    if isinstance(coder, SSDBoxCoder):
        numbers |= {"size_variance": coder.size_variance, "max_log_size": coder.max_log_size}
        tensors["shift_scale"] = size * coder.center_variance
    return {
        **{name: np.array(value, dtype=np.int64) for name, value in integers.items()},
        **{name: np.array(value, dtype=np.float32) for name, value in numbers.items()},
        **{name: value.numpy() for name, value in tensors.items()},
    }
