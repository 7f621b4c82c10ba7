"""Time the layers in this folder: python measure.py --threads 1 --output latency.json

It needs NumPy and onnxruntime (or openvino, with --backend openvino), and no PyTorch.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable
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
    parser.add_argument("--backend", choices=("onnx", "openvino"), default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("latency.json"))
    arguments = parser.parse_args()
    if arguments.output.exists():
        raise SystemExit(f"error: {arguments.output} exists already: choose another --output")
    folder = Path(__file__).resolve().parent
    seconds: dict[str, float] = {}
    for number, total, seconds in measure_folder(folder, arguments.backend, arguments.threads):
        if number % 20 == 0 or number == total:
            print(f"{number} of {total}", flush=True)
    table = describe_table(arguments.backend, arguments.threads, seconds)
    arguments.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output}: {len(seconds)} layers")


def describe_table(backend: str, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    """What a table file holds: where it was measured, and seconds by layer."""
    machine = f"{platform.machine()} {platform.processor() or platform.system()}".strip()
    return {"backend": backend, "threads": threads, "machine": machine, "seconds": seconds}


def measure_folder(folder: Path, backend: str, threads: int) -> Iterable[tuple[int, int, dict[str, float]]]:
    """Time every file of the plan; tells after each how many of how many are done, and what is known."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    opening = {"onnx": open_onnx, "openvino": open_openvino}[backend]
    seconds: dict[str, float] = {}
    done, total = 0, PASSES * len(plan)
    for _ in range(PASSES):  # what else the machine does for a while meets no layer in all passes
        for key, file in plan.items():
            taken = fastest(opening(folder / file, threads))
            seconds[key] = min(taken, seconds.get(key, taken))
            done += 1
            yield done, total, seconds


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
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    feeds = {
        x.name: noise([d if isinstance(d, int) else 1 for d in x.shape], types[x.type])
        for x in session.get_inputs()
    }
    names = [x.name for x in session.get_outputs()]
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
    feeds = {}
    for index, x in enumerate(model.inputs):
        shape = [d.get_length() if d.is_static else 1 for d in x.partial_shape]
        feeds[index] = noise(
            shape, np.uint8 if "u8" in str(x.element_type) or "uint8" in str(x.element_type) else np.float32
        )
    return lambda: request.infer(feeds, share_inputs=True)


def noise(shape: list[int], dtype: Any) -> Any:
    """Numbers from 0 to 255 for images, else around 0."""
    generator = np.random.default_rng(0)
    if dtype == np.uint8:
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape).astype(np.float32)


if __name__ == "__main__":
    main()
