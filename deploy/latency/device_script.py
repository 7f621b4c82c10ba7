"""Time the layers in this folder.

python measure.py --threads 1 --output latency.json

It needs NumPy and onnxruntime (or openvino, with --backend openvino; ai-edge-litert for .tflite files), and
no PyTorch.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PASSES = 3
SECONDS = 0.05
"""Of calls of one layer in one pass."""
MIN_CALLS, MAX_CALLS = 4, 60


def main() -> None:
    """Time every file of plan.json and write the table."""
    parser = argparse.ArgumentParser(description="Time the layers in this folder on this device.")
    parser.add_argument("--backend", choices=("onnx", "openvino", "litert"), help="default: by the files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("latency.json"))
    arguments = parser.parse_args()
    if arguments.output.exists():
        raise SystemExit(f"error: {arguments.output} exists already: choose another --output")
    folder = Path(__file__).resolve().parent
    backend = arguments.backend or ("litert" if any(folder.glob("*.tflite")) else "onnx")
    seconds = measure_folder(folder, backend, arguments.threads, tell)
    table = describe_table(backend, arguments.threads, seconds)
    arguments.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output}: {len(seconds)} layers")


def tell(number: int, total: int) -> None:
    """Say how far it is, now and then."""
    if number % 50 == 0 or number == total:
        print(f"{number} of {total}", flush=True)


def describe_table(backend: str, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    """What a table file holds: where it was measured, and seconds by layer."""
    machine = f"{platform.machine()} {platform.processor() or platform.system()}".strip()
    return {"backend": backend, "threads": threads, "machine": machine, "seconds": seconds}


def measure_folder(
    folder: Path, backend: str, threads: int, told: Callable[[int, int], None]
) -> dict[str, float]:
    """Seconds of every file of the plan by its key; ``told`` hears how many of how many calls are done."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    opening = {"onnx": open_onnx, "openvino": open_openvino, "litert": open_litert}[backend]
    seconds: dict[str, float] = {}
    for number in range(PASSES):  # what else the machine does for a while meets no layer in all passes
        for place, (key, file) in enumerate(plan.items(), start=1):
            taken = fastest(opening(folder / file, threads))
            seconds[key] = min(taken, seconds.get(key, taken))
            told(number * len(plan) + place, PASSES * len(plan))
    return seconds


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of many calls: whatever else runs only adds."""
    for _ in range(2):
        call()
    best, begin = float("inf"), time.perf_counter()
    for number in range(MAX_CALLS):
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        best = min(best, end - start)
        if number + 1 >= MIN_CALLS and end - begin > SECONDS:
            break
    return best


def open_onnx(path: Path, threads: int) -> Callable[[], object]:
    """A call of the file on fixed noise by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {value.name: noise(value.shape, "uint8" in value.type) for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return lambda: session.run(names, feeds)


_core: list[Any] = []
"""The one openvino.Core of this process."""


def open_openvino(path: Path, threads: int) -> Callable[[], object]:
    """A call of the file on fixed noise by OpenVINO."""
    import openvino

    if not _core:
        _core.append(openvino.Core())
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(threads),
    }
    model = _core[0].compile_model(_core[0].read_model(path), "CPU", options)
    request = model.create_infer_request()
    feeds = {
        index: noise(list(value.shape), value.element_type == openvino.Type.u8)
        for index, value in enumerate(model.inputs)
    }
    return lambda: request.infer(feeds, share_inputs=True)


def open_litert(path: Path, threads: int) -> Callable[[], object]:
    """A call of the file on fixed noise by LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    for value in interpreter.get_input_details():
        shape = [int(side) for side in value["shape"]]
        interpreter.set_tensor(value["index"], noise(shape, value["dtype"] == np.uint8))
    return lambda: interpreter.invoke()


def noise(shape: list[int], is_image: bool) -> Any:
    """Numbers from 0 to 255 for images, else around 0."""
    generator = np.random.default_rng(0)
    if is_image:
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape).astype(np.float32)


if __name__ == "__main__":
    main()
