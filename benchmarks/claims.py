"""The papers' headline comparisons of speed, timed again in every runtime here.

    python benchmarks/claims.py [--only NAME ...] [--runtimes torch,onnx,openvino,litert,ncnn] [--rounds 20]

Both models of a pair have new weights and one image of the paper's size (Cityscapes at half size, as the
paper's second column); they run in turn, from pixels to raw outputs, on one thread. Milliseconds are
medians of the process' CPU time, so that other work on the machine counts little; the ratio is the second to
the first, beside what the paper prints and the ratio of multiply-adds. docs/claims.md has the results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from timing import interleaved
from torch import Tensor, nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from pocketvision.configs import ssdlite_v2_coco, ssdlite_v3_large_coco
from pocketvision.core.resize import Resize
from pocketvision.costs.measure import measure_cost
from pocketvision.costs.variants import v1_variant
from pocketvision.datasets import CITYSCAPES_NAMES
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.heads import ClassifierHead, DeepLabV3Head, LRASPPHead
from pocketvision.models import Classifier, Segmenter, VisionModel

NAMES = tuple(f"class {i}" for i in range(1000))
OBJECTS = NAMES[:80]
HALF = Resize((512, 1024))


class Pair(NamedTuple):
    """A claim: the second model's time is ``printed`` of the first's; None where a paper prints no time."""

    text: str
    printed: float | None
    first: Callable[[], VisionModel]
    second: Callable[[], VisionModel]


class SlowHardswish(nn.Module):
    """x * ReLU6(x + 3) / 6 as it is written, in four passes over memory."""

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.relu6(x + 3.0) / 6.0


def v1(full: bool = False) -> Classifier:
    body = mobilenet_v1(out_features=("c5",))
    model = Classifier(body, partial(ClassifierHead, feature="c5"), NAMES, Resize((224, 224)))
    if full:
        model.backbone = v1_variant(body, "full_convolutions")
    return model


def v2(width_mult: float = 1.0) -> Classifier:
    body = mobilenet_v2(width_mult=width_mult, out_features=("last",))
    return Classifier(body, ClassifierHead, NAMES, Resize((224, 224)))


def v3(
    small: bool = False, activation: Callable[[], nn.Module] | None = None, squeeze: bool = True
) -> Classifier:
    """MobileNetV3; ``activation`` takes the place of every h-swish, ``squeeze=False`` leaves SE out."""
    build, hidden = (mobilenet_v3_small, 1024) if small else (mobilenet_v3_large, 1280)
    head = partial(ClassifierHead, hidden_channels=hidden)
    model = Classifier(build(out_features=("last",)), head, NAMES, Resize((224, 224)))
    for module in list(model.modules()):
        for name, child in module.named_children():
            if activation is not None and isinstance(child, nn.Hardswish):
                setattr(module, name, activation())
            if not squeeze and name == "squeeze":
                setattr(module, name, nn.Identity())
    return model


def raspp(reduced: bool) -> Segmenter:
    body = mobilenet_v2(output_stride=16, reduced_tail=reduced, out_features=("c5",))
    return Segmenter(body, partial(DeepLabV3Head, form="raspp"), CITYSCAPES_NAMES, HALF)


def lraspp() -> Segmenter:
    body = mobilenet_v3_large(
        output_stride=16, reduced_tail="segmentation", out_features=("c3_depthwise", "last")
    )
    return Segmenter(body, LRASPPHead, CITYSCAPES_NAMES, HALF)


PAIRS = {
    "lraspp": Pair(
        "LR-ASPP V3-Large (row 8) to R-ASPP V2 (row 1)", 657 / 1020, partial(raspp, False), lraspp
    ),
    "lraspp_same_tail": Pair(
        "the same to R-ASPP V2 with the reduced tail (row 2)", 657 / 793, partial(raspp, True), lraspp
    ),
    "ssdlite": Pair(
        "SSDLite V3-Large to V2, 320, 80 classes",
        119 / 162,
        partial(ssdlite_v2_coco.model, OBJECTS, weights=None),
        partial(ssdlite_v3_large_coco.model, OBJECTS),
    ),
    "v3_large": Pair("V3-Large to V2", 51 / 64, v2, v3),
    "v3_small": Pair("V3-Small to V2 0.35", 15.8 / 16.6, partial(v2, 0.35), partial(v3, small=True)),
    "h_swish": Pair("V3-Large to V3-Large with ReLU", 51.4 / 50.5, partial(v3, activation=nn.ReLU), v3),
    "h_swish_unfused": Pair(
        "V3-Large with h-swish in single steps to V3-Large with ReLU",
        57.5 / 50.5,
        partial(v3, activation=nn.ReLU),
        partial(v3, activation=SlowHardswish),
    ),
    "swish": Pair("V3-Large to V3-Large with swish", None, partial(v3, activation=nn.SiLU), v3),
    "squeeze": Pair(
        "V3-Large to V3-Large without squeeze-and-excitation", None, partial(v3, squeeze=False), v3
    ),
    "separable": Pair("V1 to V1 with full convolutions", None, partial(v1, full=True), v1),
}


def open_model(model: VisionModel, kind: str, folder: Path) -> Runtime:
    if kind == "torch":
        return TorchRuntime(model)
    folder.mkdir(exist_ok=True)
    return open_runtime(export_model(model, kind, folder / f"model{FORMATS[kind].suffix}"), threads=1)


def compare(name: str, pair: Pair, kinds: list[str], rounds: int) -> None:
    """Print a row for each runtime."""
    torch.manual_seed(0)
    models = [pair.first().eval(), pair.second().eval()]
    images = torch.randint(0, 256, (1, 3, *models[0].resize.image_size), dtype=torch.uint8)
    multiply_adds = [measure_cost(model, model.resize.image_size).madds for model in models]
    printed = "" if pair.printed is None else f"{pair.printed:.2f}"
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            opened = {str(i): open_model(model, kind, Path(folder, str(i))) for i, model in enumerate(models)}
            calls = {key: partial(runtime, images) for key, runtime in opened.items()}
            first, second = interleaved(calls, rounds, time.process_time).values()
        cells = f"{first:.1f} | {second:.1f} | {second / first:.2f} | {printed}"
        print(
            f"| {name} | {pair.text} | {kind} | {cells} | {multiply_adds[1] / multiply_adds[0]:.2f} |",
            flush=True,
        )


def activation_graphs(shape: tuple[int, ...]) -> dict[str, onnx.ModelProto]:
    """Swish and three ways to compute h-swish, each a graph of its own; the table's input is uint8."""
    table = np.arange(256, dtype=np.float32) / 16 - 8
    constants = {
        "three": np.float32(3),
        "zero": np.float32(0),
        "six": np.float32(6),
        "table": table * np.clip(table + 3, 0, 6) / 6,
    }
    node = helper.make_node
    ways = {
        "swish": [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])],
        "h-swish, one operator": [node("HardSwish", ["x"], ["y"])],
        "h-swish, in steps": [
            node("Add", ["x", "three"], ["a"]),
            node("Clip", ["a", "zero", "six"], ["b"]),
            node("Mul", ["x", "b"], ["c"]),
            node("Div", ["c", "six"], ["y"]),
        ],
        "h-swish, table of 256": [node("Gather", ["table", "x"], ["y"])],
    }
    graphs = {}
    for name, nodes in ways.items():
        kind = TensorProto.INT32 if "table" in name else TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "activation",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
        )
        graphs[name] = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return graphs


def compare_activations(rounds: int) -> None:
    """One activation alone in ONNX Runtime, on V3-Large's largest map with h-swish (240 channels, 28x28)."""
    shape = (1, 240, 28, 28)
    values = np.random.default_rng(0).integers(0, 256, shape)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    calls = {}
    for name, graph in activation_graphs(shape).items():
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        given = values.astype(np.int32) if "table" in name else (values / 16 - 8).astype(np.float32)
        calls[name] = partial(session.run, None, {"x": given})
    medians = interleaved(calls, 20 * rounds, time.process_time)
    for name, milliseconds in medians.items():
        print(f"| {name} | {milliseconds:.3f} | {milliseconds / medians['swish']:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*PAIRS, "activations"], default=[*PAIRS, "activations"])
    parser.add_argument("--runtimes", default="torch,onnx,openvino,litert,ncnn")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| name | claim | runtime | first, ms | second, ms | ratio | printed | multiply-adds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.only:
        if name != "activations":
            compare(name, PAIRS[name], arguments.runtimes.split(","), arguments.rounds)
    if "activations" in arguments.only:
        compare_activations(arguments.rounds)


if __name__ == "__main__":
    main()
