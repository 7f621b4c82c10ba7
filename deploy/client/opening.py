"""A model's file, opened by the runtime of its format: its metadata, and a function that runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# <part>
MODEL = Path(__file__).with_name("model.onnx")
CLASSES = Path(__file__).with_name("classes.txt")
"""A name a line, in the model's order: change or translate them as you like."""
Facts = Mapping[str, Any]
"""The model's metadata; docs/exported_files.md of pocketvision says what is in it."""
RunGraph = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Images (N, 3, height, width) -> the outputs that the metadata name."""


# <onnx>
def open_onnx(path: Path, threads: int | None) -> tuple[Facts, RunGraph]:
    """Metadata and graph of a file for ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["pocketvision"])
    return facts, lambda images: session.run(facts["outputs"], {"images": images})


# </onnx>
# <openvino>
def open_openvino(path: Path, threads: int | None) -> tuple[Facts, RunGraph]:
    """Metadata and graph of a file for OpenVINO."""
    import openvino

    model = openvino.Core().read_model(path)
    facts = json.loads(model.get_rt_info("pocketvision").astype(str))
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.compile_model(
        model, "CPU", options | ({"INFERENCE_NUM_THREADS": str(threads)} if threads else {})
    )

    def run(images: np.ndarray) -> Sequence[np.ndarray]:
        found = compiled(images)
        return [found[index] for index in range(len(facts["outputs"]))]

    return facts, run


# </openvino>
# <litert>
def open_litert(path: Path, threads: int | None) -> tuple[Facts, RunGraph]:
    """Metadata and graph of a file for LiteRT."""
    import zipfile

    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(path) as archive:  # it lies behind the graph
        facts = json.loads(archive.read("pocketvision.json"))
    graph = Interpreter(model_path=str(path), num_threads=threads).get_signature_runner()

    def run(images: np.ndarray) -> Sequence[np.ndarray]:
        found = graph(args_0=images)
        return [found[f"output_{index}"] for index in range(len(facts["outputs"]))]

    return facts, run


# </litert>
# <ncnn>
def open_ncnn(path: Path, threads: int | None) -> tuple[Facts, RunGraph]:
    """Metadata and graph of a file for ncnn, with its .bin and .json beside it."""
    import ncnn

    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["pocketvision"]
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    for kind in ("packed", "storage", "arithmetic"):  # float32 also where the processor has float16
        setattr(net.opt, f"use_fp16_{kind}", False)
    if threads:
        net.opt.num_threads = threads
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise SystemExit(f"error: ncnn can't read {path}")

    def run(images: np.ndarray) -> Sequence[np.ndarray]:
        extractor = net.create_extractor()
        extractor.input("images", ncnn.Mat(images[0]))
        return [np.array(extractor.extract(name)[1])[None] for name in facts["outputs"]]

    return facts, run


# </ncnn>
# </part>
