"""Puts around models of ours what published files have before and behind them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import nn

from pocketvision.models import Classifier, Detector, Enlarge, Segmenter
from pocketvision.published.convert import roll_background
from pocketvision.published.tensorflow.class_rows import box_rows
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.graph import constant

POSTPROCESS = {
    "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0, "nms_iou_threshold": 0.6,
    "nms_score_threshold": 1e-8, "max_detections": 100, "max_classes_per_detection": 1,
}  # fmt: skip
"""Options of ``TFLite_Detection_PostProcess`` as the Object Detection API exports them."""


def anchors_of(model: Detector) -> Any:
    """The model's anchors as TensorFlow stores them: y, x, height and width as shares of the image."""
    height, width = model.resize.image_size
    with torch.no_grad():
        images = torch.zeros(1, 3, height, width)
        boxes = model.place_anchors(model.features(images), images) / torch.tensor([width, height] * 2)
    left, top, right, bottom = boxes.unbind(dim=1)
    return torch.stack(((top + bottom) / 2, (left + right) / 2, bottom - top, right - left), 1).numpy()


def heads_of(graph: GraphDef, model: Detector) -> tuple[list[str], list[str]]:
    """The nodes that end the class and the box branches: in the order in which our heads run them."""
    ends = [node.name for node in graph.node if node.op == "BiasAdd"]
    number = len(model.head.class_blocks)  # type: ignore[arg-type]
    return ends[-2 * number : -number], ends[-number:]


@pytest.fixture
def write_published(
    write_graph: Any, run_graph: Any, convert_graph: Any, as_trained: Any
) -> Callable[..., Any]:
    """``write_published(model, path, kind="float32", labels=(), post=True)``.

    Writes a model of ours as TensorFlow would publish it and returns it: images 0..255 are normalized in a
    frozen graph (.pb) and before a TFLite file, boxes are coded as TensorFlow codes them, behind a detector
    stands the post-processing operator (``post``), behind a segmenter its resizes, in TFLite if it has any.
    """

    def write(
        model: Any, path: Path, kind: str = "float32", labels: Sequence[str] = (), post: bool = True
    ) -> Any:
        height, width = model.resize.image_size
        model = as_trained(model)
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
        if isinstance(model, Detector):
            order_rows(model, 1)
        sampling = getattr(model.head, "sampling", "half_pixel")
        if sampling == "asymmetric":  # which PyTorch has by a detour
            model.head.sampling = "half_pixel"
        graph = write_graph(model, model.normalize(image), path.with_suffix(".graph"))
        for node in graph.node:
            if node.op == "AvgPool":
                node.attr["padding"].s = b"VALID"
            elif node.op == "ResizeBilinear" and sampling != "asymmetric":
                node.attr["half_pixel_centers"].f = 1 - node.attr["align_corners"].f
        if isinstance(model, Segmenter) and (path.suffix == ".pb" or model.enlarge is not None):
            add_last_resizes(graph, model)
        if sampling == "asymmetric":
            model.head.sampling = sampling
        detection = None
        if isinstance(model, Detector):
            options = {**POSTPROCESS, "num_classes": model.num_outputs - 1} if post else {}
            score = {"sigmoid": "Sigmoid", "softmax": "Softmax"}[model.score_function]
            detection = (*heads_of(graph, model), model.num_outputs, score, anchors_of(model), options)
        if path.suffix == ".pb":
            surround(graph, model, detection)
            spread_dilations(graph, height)
            path.write_bytes(graph.SerializeToString())
        else:
            path.with_suffix(".graph").write_bytes(graph.SerializeToString())
            read = read_frozen_graph(path.with_suffix(".graph"))
            feeds = {"input": model.normalize(image)}
            nodes = [
                n.name for n in read.values() if n.op != "Placeholder" and constant(read, n.name) is None
            ]
            values = {**run_graph(read, feeds, nodes), **feeds}
            path.write_bytes(convert_graph(read, values, kind, detection))
            if labels:
                with zipfile.ZipFile(path, "a") as archive:
                    archive.writestr("labelmap.txt", "\n".join(labels))
        path.with_suffix(".graph").unlink()
        if isinstance(model, Detector):
            order_rows(model, -1)
        return model

    return write


def add_last_resizes(graph: GraphDef, model: Segmenter) -> None:
    """Resizes of the logits to the image, as the model enlarges them or by half pixels."""
    writer, last = Appender(graph), graph.node[-1].name
    enlarge = model.enlarge or Enlarge("half_pixel")
    assert isinstance(enlarge, Enlarge)
    for step, size in enumerate((*enlarge.through, model.resize.image_size)):
        stated = writer.constant(f"size_{step}", np.int32(size))
        last = writer.node(f"large_{step}", "ResizeBilinear", last, stated)
        for sampling, name in (("align_corners",) * 2, ("half_pixel", "half_pixel_centers")):
            writer.attributes(last)[name].f = float(enlarge.sampling == sampling)


def spread_dilations(graph: GraphDef, height: int) -> None:
    """Dilated convolutions as TensorFlow 1 stored them: the map in parts, a plain convolution, and back."""
    writer = Appender(graph)
    nodes = {node.name: node for node in graph.node}
    sides = {2: -(-height // 16), 4: -(-height // 8)}
    dilated = [node for node in graph.node if "dilations" in node.attr]
    for node in (node for node in dilated if node.attr["dilations"].list.i[1] > 1):
        dilation = node.attr["dilations"].list.i[1]
        if dilation not in sides:
            continue  # an atrous branch
        read = nodes[node.input[1]]
        kernel = nodes[read.input[0]].attr["value"].tensor.tensor_shape.dim[0].size
        pad = kernel // 2 * dilation
        more = -(sides[dilation] + 2 * pad) % dilation
        name, source = node.name, node.input[0]
        block = writer.constant(f"{name}/block", np.int32([dilation] * 2))
        pads = writer.constant(f"{name}/pads", np.int32([[pad, pad + more]] * 2))
        crops = writer.constant(f"{name}/crops", np.int32([[0, more]] * 2))
        node.input[0] = writer.node(f"{name}/parts", "SpaceToBatchND", source, block, pads)
        node.name, node.attr["padding"].s = f"{name}/plain", b"VALID"
        node.attr["dilations"].list.i[:] = [1, 1, 1, 1]
        writer.node(name, "BatchToSpaceND", node.name, block, crops)


def order_rows(model: Detector, shift: int) -> None:
    """Order the rows of boxes as TensorFlow has them, and a background to the front; -1 undoes it."""
    for name, layer in model.head.named_modules():
        if not isinstance(layer, nn.Conv2d) or layer.bias is None:
            continue
        for tensor in (layer.weight, layer.bias):
            if "box_blocks" in name:
                tensor.data = tensor.data[box_rows(layer.out_channels)]  # its own inverse
            elif model.score_function == "softmax":
                tensor.data = roll_background(tensor.data, model.num_outputs, shift)


def surround(graph: GraphDef, model: Any, detection: Any) -> None:
    """What a frozen graph has before its first layer and behind its last."""
    writer = Appender(graph)
    first, last = graph.node[0], graph.node[-1].name
    height, width = model.resize.image_size
    image = graph.node.add(name="image_tensor", op="Placeholder")
    for side in (1, height, width, 3):
        image.attr["shape"].shape.dim.add(size=side)
    mean, std = (float(v.flatten()[0]) for v in (model.normalize.mean, model.normalize.std))
    scaled = writer.node("scaled", "Mul", "image_tensor", writer.constant("scale", np.float32(1 / std)))
    first.op = "Sub"
    first.input.extend([scaled, writer.constant("shift", np.float32(mean / std))])
    if detection is None:
        is_classifier = isinstance(model, Classifier)
        if is_classifier:
            writer.node("scores", "Softmax", last)
        else:
            writer.node("labels", "ArgMax", last)
        return
    classes, boxes, _, score, anchors, options = detection
    joined = [
        writer.node(
            f"{kind}_all",
            "ConcatV2",
            *(writer.node(f"{kind}_{i}", "Reshape", name) for i, name in enumerate(names)),
        )
        for kind, names in (("class", classes), ("box", boxes))
    ]
    scores = writer.node("convert_scores", score, joined[0])
    if options:
        stored = writer.constant("anchors", anchors)
        found = writer.node("post", "TFLite_Detection_PostProcess", joined[1], scores, stored)
        for key, value in options.items():
            writer.attributes(found)[key].f = float(value)


class Appender:
    """Adds nodes to a graph."""

    def __init__(self, graph: GraphDef) -> None:
        self.graph = graph

    def node(self, name: str, op: str, *inputs: str) -> str:
        return str(self.graph.node.add(name=name, op=op, input=inputs).name)

    def attributes(self, name: str) -> Any:
        return next(node for node in self.graph.node if node.name == name).attr

    def constant(self, name: str, value: Any) -> str:
        value = np.asarray(value)
        tensor = self.graph.node.add(name=name, op="Const").attr["value"].tensor
        tensor.dtype = {"float32": 1, "int32": 3}[value.dtype.name]
        for size in value.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = value.tobytes()
        return name
