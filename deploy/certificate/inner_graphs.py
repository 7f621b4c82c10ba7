"""Exported files as graphs whose inner tensors can be read, to see where a result departs from PyTorch's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.openvino_model import openvino_core
from pocketvision.deploy.runtimes.protocol import Runtime

_ERRORS_ONLY = 3
_NOT_COMPUTED = ("Constant", "Parameter", "Result")
_MIN_RANK = 3
"""Of what is worth to be seen; OpenVINO does not give every output of operators such as NMS."""


class InnerGraph(ABC):
    """The inner tensors of an exported file; ``aliases`` lead from their names to those to probe them by."""

    aliases: dict[str, str]

    @abstractmethod
    def probe(self, artifact: Artifact, names: Sequence[str]) -> Runtime:
        """A runtime whose outputs are the inner tensors ``names`` of a copy of the graph."""


class _Probe(Runtime):
    """Inner tensors by name; ``session`` gives them as arrays."""

    def __init__(self, artifact: Artifact, names: Sequence[str], session: Any) -> None:
        super().__init__(replace(artifact, outputs=tuple(names)))
        self.session = session

    def run(self, images: Tensor) -> Sequence[Tensor]:
        return [
            torch.from_numpy(np.atleast_1d(array))
            for array in self.session(images.cpu().contiguous().numpy())
        ]


class OnnxGraph(InnerGraph):
    """An .onnx file."""

    def __init__(self, path: Path) -> None:
        self.model = optional("onnx").load(str(path))
        names = [name for node in self.model.graph.node for name in node.output if name]
        self.aliases = {name: name for name in names}

    def probe(self, artifact: Artifact, names: Sequence[str]) -> Runtime:
        onnx, onnxruntime = optional("onnx"), optional("onnxruntime")
        model = type(self.model)()
        model.CopyFrom(self.model)
        known = {output.name for output in self.model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return _Probe(artifact, names, lambda images: session.run(list(names), {"images": images}))


class OpenVinoGraph(InnerGraph):
    """An OpenVINO IR. Tensors are called by operator and port; the names that the file gives are aliases."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aliases = {}
        for op in openvino_core().read_model(path).get_ordered_ops():
            for port in op.outputs() if op.get_type_name() not in _NOT_COMPUTED else ():
                rank = port.get_partial_shape().rank
                if rank.is_static and rank.get_length() >= _MIN_RANK:
                    own = _openvino_name(port)
                    self.aliases |= {own: own, **dict.fromkeys(port.get_names(), own)}

    def probe(self, artifact: Artifact, names: Sequence[str]) -> Runtime:
        core = openvino_core()
        model = core.read_model(self.path)
        ports = {_openvino_name(port): port for op in model.get_ordered_ops() for port in op.outputs()}
        probe = optional("openvino").Model([ports[name] for name in names], model.get_parameters(), "probe")
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(probe, "CPU", options).create_infer_request()

        def run(images: Any) -> list[Any]:
            found = request.infer({0: images})
            return [found[index].copy() for index in range(len(names))]

        return _Probe(artifact, names, run)


def _openvino_name(port: Any) -> str:
    return f"{port.get_node().get_friendly_name()}:{port.get_index()}"


_KINDS: dict[str, type[OnnxGraph] | type[OpenVinoGraph]] = {".onnx": OnnxGraph, ".xml": OpenVinoGraph}


def open_graph(path: Path) -> InnerGraph | None:
    """The graph in ``path``; None for formats that hide it."""
    kind = _KINDS.get(path.suffix)
    return None if kind is None else kind(path)
