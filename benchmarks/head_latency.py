"""Latency of GFL beside SSDLite on the same backbone, in ONNX Runtime and OpenVINO.

    python benchmarks/head_latency.py [--runs SSDLITE_RUN GFL_RUN --image JPEG] [--rounds 40] [--threads 2]
        [--backbones v3_small ...]

The cores of the shipped COCO configs at 320x320 with new weights; with --runs, of two trained detectors from
a JPEG's bytes to boxes, NMS in the graph, since how much NMS does depends on the scores. All candidates of a
pair run in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch
from timing import interleaved

from pocketvision.core.command import shipped_configs
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import VisionModel
from pocketvision.runs.build import build_model
from pocketvision.runs.folder import load_experiment
from pocketvision.runs.ready_model import load_model

BACKBONES = ("v2", "v3_large", "v3_small")
RUNTIMES = ("onnx", "openvino")


def export_pair(ssdlite: VisionModel, gfl: VisionModel, nms: bool, folder: Path) -> dict[str, Path]:
    """Files of both models in both formats: "ssdlite onnx" -> file."""
    return {
        f"{name} {format}": export_model(
            model, format, folder / f"{name}{FORMATS[format].suffix}", ExportOptions(nms=nms)
        )
        for name, model in (("ssdlite", ssdlite), ("gfl", gfl))
        for format in RUNTIMES
    }


def report(title: str, medians: dict[str, float]) -> None:
    for format in RUNTIMES:
        ssdlite, gfl = medians[f"ssdlite {format}"], medians[f"gfl {format}"]
        print(f"| {title} | {format} | {ssdlite:.2f} | {gfl:.2f} | {gfl / ssdlite:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs=2)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    arguments = parser.parse_args()
    print("| what | runtime | SSDLite, ms | GFL, ms | ratio |")
    print("|---|---|---|---|---|")
    classes = tuple(f"class {i}" for i in range(80))
    images = torch.randint(0, 256, (1, 3, 320, 320), dtype=torch.uint8)
    for backbone in arguments.backbones:
        models = []
        for family in ("ssdlite", "gfl"):
            path = shipped_configs()[f"{family}_{backbone}_coco"]
            models.append(build_model(load_experiment(path, ["model.weights=None"])[0], classes).eval())
        with tempfile.TemporaryDirectory() as folder:
            files = export_pair(models[0], models[1], False, Path(folder))
            runtimes = {name: open_runtime(file, arguments.threads) for name, file in files.items()}
            calls = {name: partial(runtime, images) for name, runtime in runtimes.items()}
            report(f"core, {backbone}, 80 classes", interleaved(calls, arguments.rounds))
    if arguments.runs:
        jpeg = arguments.image.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            ssdlite, gfl = map(load_model, arguments.runs)
            files = export_pair(ssdlite, gfl, True, Path(folder))
            runtimes = {name: open_runtime(file, arguments.threads) for name, file in files.items()}
            whole = {name: partial(Predictor(runtime), jpeg) for name, runtime in runtimes.items()}
            report("JPEG to boxes, trained", interleaved(whole, arguments.rounds))


if __name__ == "__main__":
    main()
