"""Writes TensorFlow graphs of our own models, as TensorFlow would have, and runs such graphs; stands in for
the servers of published files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.ops import box_iou

from pocketvision.core.structures import Detections
from pocketvision.published.catalog import published_class_names
from pocketvision.published.tensorflow.graph import FileGraph, Node

RunGraph = Callable[[FileGraph, Mapping[str, Tensor], Sequence[str]], dict[str, Tensor]]
_DTYPES = {"float32": 1, "int32": 3}


class GraphWriter(TorchFunctionMode):
    """Records what a model computes as a GraphDef: NHWC kernels, SAME padding, fused BatchNorm.

    ``scope_of`` names layers, by our module's name; without it nodes are anonymous.
    """

    def __init__(self, model: nn.Module, scope_of: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.graph, self.scope_of = GraphDef(), scope_of
        self.modules = {id(value): name.rpartition(".")[0] for name, value in model.named_parameters()}
        self.add("input", "Placeholder")

    def add(self, name: str, op: str, inputs: Sequence[str] = (), **attributes: Any) -> str:
        node = self.graph.node.add(name=name or f"node_{len(self.graph.node)}", op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, list):
                node.attr[key].list.i.extend(value)
            elif isinstance(value, str):
                node.attr[key].s = value.encode()
            else:
                node.attr[key].f = value
        return node.name

    def constant(self, value: Any, name: str = "") -> str:
        """A Const and the Identity through which frozen graphs read variables."""
        value = np.asarray(value)
        name = self.add(name, "Const")
        tensor = self.graph.node[-1].attr["value"].tensor
        tensor.dtype = _DTYPES[value.dtype.name]
        for size in value.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = value.tobytes()
        return self.add(f"{name}/read", "Identity", [name])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        leaves = _pytree.tree_leaves((args, kwargs))
        names = [name for x in leaves if isinstance(x, Tensor) and (name := getattr(x, "tf_name", ""))]
        if names and isinstance(result, Tensor):
            result.tf_name = self.translate(func, names, args, kwargs, result)  # type: ignore[attr-defined]
        return result

    def translate(self, func: Any, names: list[str], args: Any, kwargs: Any, result: Tensor) -> str:
        x = names[0]
        if func is torch.conv2d:
            return self.convolution(x, *args[1:])
        if func is F.linear:
            name = self.scope(args[1])
            kernel = self.constant(args[1].numpy().T, name and f"{name}/weights")
            return self.biased(self.add(name and f"{name}/MatMul", "MatMul", [x, kernel]), args[2], name)
        if func is F.batch_norm:
            name = self.scope(kwargs["weight"])
            values = (kwargs["weight"], kwargs["bias"], args[1], args[2])
            kinds = ("gamma", "beta", "moving_mean", "moving_variance")
            stored = [
                self.constant(value.numpy(), name and f"{name}/BatchNorm/{kind}")
                for value, kind in zip(values, kinds, strict=True)
            ]
            full = name and f"{name}/BatchNorm/FusedBatchNorm"
            return self.add(full, "FusedBatchNormV3", [x, *stored], epsilon=float(kwargs["eps"]))
        if func in (F.hardtanh, F.relu6):
            return self.add("", "Relu6", [x])
        if func in (F.relu, F.sigmoid, torch.sigmoid, Tensor.sigmoid):
            return self.add("", "Relu" if func is F.relu else "Sigmoid", [x])
        if func in (F.hardswish, F.hardsigmoid):
            shifted = self.add("", "Relu6", [self.add("", "AddV2", [x, self.constant(np.float32(3))])])
            gate = self.add("", "Mul", [shifted, self.constant(np.float32(1 / 6))])
            return gate if func is F.hardsigmoid else self.add("", "Mul", [x, gate])
        if func in (Tensor.add, Tensor.__add__, Tensor.mul, Tensor.__mul__):
            return self.add("", "AddV2" if "add" in func.__name__ else "Mul", names)
        if func is Tensor.mean:
            return self.add("", "Mean", [x, self.constant(np.array([1, 2], np.int32))])
        if func is F.avg_pool2d:
            return self.add("", "AvgPool", [x], ksize=[1, *args[1], 1], strides=[1, *args[2], 1])
        if func in (F.interpolate, Tensor.expand):
            size = self.constant(np.array(result.shape[2:], np.int32))
            corners = float(kwargs.get("align_corners", 0))
            return self.add("", "ResizeBilinear", [x, size], align_corners=corners)
        if func is torch.cat and result.ndim == 4:
            return self.add("", "ConcatV2", [*names, self.constant(np.int32(3))])
        return x  # padding (SAME does it), dropout, reshaping

    def convolution(
        self, x: str, weight: Tensor, bias: Tensor | None, stride: Any, pad: Any, dilation: Any, groups: int
    ) -> str:
        name, values = self.scope(weight), weight.numpy()
        op = "DepthwiseConv2dNative" if (is_depthwise := groups > 1) else "Conv2D"
        kernel = self.constant(
            values.transpose(2, 3, 0, 1) if is_depthwise else values.transpose(2, 3, 1, 0),
            name and f"{name}/{'depthwise_weights' if is_depthwise else 'weights'}",
        )
        if is_padded := max(stride) > 1 and any(pad):  # as PyTorch does, all around
            pads = self.constant(np.repeat(np.int32([[0], *([p] for p in pad), [0]]), 2, axis=1))
            x = self.add("", "Pad", [x, pads])
        padding = "VALID" if is_padded else "SAME"
        geometry = {"strides": [1, *stride, 1], "dilations": [1, *dilation, 1], "padding": padding}
        full = name and f"{name}/{'depthwise' if is_depthwise else 'Conv2D'}"
        return self.biased(self.add(full, op, [x, kernel], **geometry), bias, name)

    def biased(self, x: str, bias: Tensor | None, name: str) -> str:
        if bias is None:
            return x
        stored = self.constant(bias.numpy(), name and f"{name}/biases")
        return self.add(name and f"{name}/BiasAdd", "BiasAdd", [x, stored])

    def scope(self, parameter: Tensor) -> str:
        module = self.modules[id(parameter)].removesuffix(".conv").removesuffix(".norm")
        return self.scope_of(module) if self.scope_of else ""


@pytest.fixture
def write_graph() -> Callable[..., GraphDef]:
    """``write_graph(model, image, path, scope_of=None)``: backbone and head on a normalized image."""

    def write(model: Any, image: Tensor, path: Path, scope_of: Any = None) -> GraphDef:
        writer = GraphWriter(model, scope_of)
        image = image.clone()
        image.tf_name = "input"  # type: ignore[attr-defined]
        with torch.no_grad(), writer:
            model.eval().head(model.backbone(image))
        path.write_bytes(writer.graph.SerializeToString())
        return writer.graph

    return write


def _same(x: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    pads: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def _convolve(node: Node, x: Tensor, kernel: Tensor) -> Tensor:
    stride, dilation = node.attributes["strides"][1], (node.attributes.get("dilations") or [1, 1])[1]
    assert node.attributes["padding"] == "SAME"
    x = _same(x, kernel.shape[0], stride, dilation)
    if node.op == "Conv2D":
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), None, stride, 0, dilation)
    return F.conv2d(x, kernel.permute(2, 3, 0, 1), None, stride, 0, dilation, groups=x.shape[1])


def _channels(x: Tensor) -> Tensor:
    return x.view(-1, 1, 1) if x.ndim == 1 else x


def _resize(node: Node, x: Tensor, size: Tensor) -> Tensor:
    corners = bool(node.attributes.get("align_corners"))
    return F.interpolate(x, tuple(size.int().tolist()), mode="bilinear", align_corners=corners)


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "Identity": lambda node, x: x,
    "Conv2D": _convolve,
    "DepthwiseConv2dNative": _convolve,
    "MatMul": lambda node, x, kernel: (x.flatten(1) @ kernel)[:, :, None, None],
    "BiasAdd": lambda node, x, bias: x + _channels(bias),
    "Add": lambda node, x, y: x + _channels(y),
    "AddV2": lambda node, x, y: x + _channels(y),
    "Mul": lambda node, x, y: _channels(x) * _channels(y),
    "Relu": lambda node, x: x.relu(),
    "Relu6": lambda node, x: x.clamp(0, 6),
    "Sigmoid": lambda node, x: x.sigmoid(),
    "Mean": lambda node, x, axes: x.mean((2, 3), keepdim=True),
    "AvgPool": lambda node, x: F.avg_pool2d(
        x, node.attributes["ksize"][1:3], node.attributes["strides"][1:3]
    ),
    "ResizeBilinear": _resize,
    "ConcatV2": lambda node, *x: torch.cat(x[:-1], dim=1),
}


def _run(graph: FileGraph, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
    """The small interpreter: float64, tensors as (N, C, H, W)."""
    values = {name: value.double() for name, value in feeds.items()}

    def needed(names: Sequence[str], seen: set[str]) -> Iterator[str]:
        for name in names:
            if name not in seen and name not in values:
                seen.add(name)
                yield from needed(graph[name].inputs, seen)
                yield name

    for name in list(needed(outputs, set())):
        node = graph[name]
        inputs = [values[source] for source in node.inputs]
        if node.read is not None:
            values[name] = torch.from_numpy(np.array(node.read())).double()
        elif node.op.startswith("FusedBatchNorm"):
            x, gamma, beta, mean, variance = inputs
            values[name] = F.batch_norm(x, mean, variance, gamma, beta, eps=node.attributes["epsilon"])
        else:
            values[name] = _OPERATIONS[node.op](node, *inputs)
    return {name: values[name] for name in outputs}


@pytest.fixture
def run_graph() -> RunGraph:
    """``run_graph(graph, feeds, outputs)``: values of nodes, computed from the graph alone in float64."""
    return _run


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and notes what is asked for."""

    asked: list[str]

    def log_message(self, *_: object) -> None:
        self.asked.append(self.path)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, its address and the paths that were asked for; torch's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    folder, asked = tmp_path / "served", list[str]()
    folder.mkdir()
    handler = type("Handler", (Quiet,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(scope="session")
def published_ssdlite() -> Any:
    """torchvision's SSDLite320 with weights whose scores of an image spread over 0.05..0.9."""
    torch.manual_seed(0)
    model: Any = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # its own initialization lets no signal through: all ties
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.6, 1.4)
            nn.init.normal_(module.bias, 0, 0.1)
            module.momentum = 1.0  # the statistics of one batch: each layer's output keeps its scale
    images = torch.randint(0, 256, (2, 3, 320, 320), generator=torch.Generator().manual_seed(0)).float()
    empty = [i + 1 for i, name in enumerate(published_class_names("coco")) if name is None]
    with torch.no_grad():
        model.head(list(model.backbone(images / 127.5 - 1).values()))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):  # few values vary little: that would magnify rounding
                module.running_var.clamp_(min=module.running_var.mean().item() / 2)
        for block in model.head.classification_head.module_list:
            block[1].weight.mul_(2)
            rows = block[1].bias.unflatten(0, (-1, 91))
            rows.normal_()[:, empty] = -30.0  # slots that ours never returns
        for block in model.head.regression_head.module_list:
            block[1].weight.mul_(0.2)
    return model.eval()


@pytest.fixture
def assert_same_detections() -> Callable[[Detections, Mapping[str, Tensor]], None]:
    """``assert_same_detections(ours, theirs)``: torchvision's of one image, in any order."""

    def check(ours: Detections, expected: Mapping[str, Tensor]) -> None:
        assert len(ours.boxes) == len(expected["boxes"]) > 100
        iou = box_iou(ours.boxes, expected["boxes"])
        iou[ours.labels[:, None] != expected["labels"][None] - 1] = 0  # torchvision counts its background
        best, partner = iou.max(dim=1)
        assert best.min() >= 0.999 and len(partner.unique()) == len(partner)
        torch.testing.assert_close(ours.scores, expected["scores"][partner], rtol=0, atol=1e-5)
        torch.testing.assert_close(ours.boxes, expected["boxes"][partner], rtol=0, atol=1e-2)

    return check
