"""Int8 against float32 of a run's model, in ONNX Runtime and OpenVINO: score, size and latency.

    python benchmarks/int8.py RUN --split test [--rounds 40] [--threads 2]

Exports detectors with NMS and segmenters with their label map, as a user would; calibrates on the training
images, scores AP or mIoU on the split, and times single images of it, the four files in turn.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from functools import partial
from pathlib import Path

from timing import interleaved

from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.export.to_int8 import export_int8
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.runtimes.exported_models import predictor_of
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.evaluation.run_data import RunData
from pocketvision.runs.ready_model import load_model

NUM_CALIBRATION = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.getLogger("pocketvision").setLevel(logging.WARNING)
    model = load_model(arguments.run)
    data = RunData(arguments.run, model)
    images = data.calibration_images(NUM_CALIBRATION)
    task = model.passport()["task"]
    options = ExportOptions(nms=task == "detection", label_map=task == "segmentation")
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for format in ("onnx", "openvino"):
            suffix = FORMATS[format].suffix
            files[format, "float32"] = export_model(model, format, Path(folder) / f"float{suffix}", options)
            path = Path(folder) / f"int8{suffix}"
            files[format, "int8"] = export_int8(model, format, path, images, options)
        data.data.val_split = arguments.split
        (metric,) = data.metrics
        scores = {key: data.scores(predictor_of(open_runtime(file)))[metric] for key, file in files.items()}
        runtimes = {key: open_runtime(file, arguments.threads) for key, file in files.items()}
        calls = {" ".join(key): partial(runtime, images[:1]) for key, runtime in runtimes.items()}
        medians = interleaved(calls, arguments.rounds)
        sizes = {key: sum(part.stat().st_size for part in written_files(f)) / 1e6 for key, f in files.items()}
    print(f"| format | {metric} float32 | int8 | MB | int8 | ratio | ms | int8 | speed-up |")
    print("|---|---|---|---|---|---|---|---|---|")
    for format in ("onnx", "openvino"):
        before, after = (format, "float32"), (format, "int8")
        slow, fast = medians[" ".join(before)], medians[" ".join(after)]
        print(
            f"| {format} | {scores[before]:.4f} | {scores[after]:.4f} "
            f"| {sizes[before]:.2f} | {sizes[after]:.2f} | {sizes[after] / sizes[before]:.3f} "
            f"| {slow:.2f} | {fast:.2f} | {slow / fast:.2f} |"
        )


if __name__ == "__main__":
    main()
