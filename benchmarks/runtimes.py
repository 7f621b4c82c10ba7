"""The runtimes side by side, interleaved medians, batch 1: cores, label maps and a whole detection.

    python benchmarks/runtimes.py FOLDER [--threads 2] [--rounds 20] [--image FILE.jpg] [--cpu-time]
        [--formats onnx openvino ...]

Exports to FOLDER what is not there yet from the same weights. With an image (JPEG) its bytes also go through
torchvision's ``ssdlite320_mobilenet_v3_large`` and through ours with the same weights, to final boxes. The
weights are random, with BatchNorm statistics from the image and class logits scaled to those of a trained
detector.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from settled import raw, settle
from timing import Clock, interleaved, table
from torchvision.io import ImageReadMode, decode_image
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from pocketvision.configs import lraspp_v3_large_cityscapes, ssdlite_v3_large_coco
from pocketvision.core.boxes import box_iou
from pocketvision.core.structures import Detections
from pocketvision.datasets.detection import to_tensor
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.results import detect, restore_detections, segment
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import Detector, Segmenter, VisionModel
from pocketvision.published.convert import from_published

TITLES = {"onnx": "ONNX Runtime fp32", "openvino": "OpenVINO fp32", "litert": "LiteRT fp32"}
TITLES |= {"executorch": "ExecuTorch fp32", "ncnn": "ncnn fp32"}


class Case(NamedTuple):
    """Where files are kept, what runs them, and how it is measured."""

    folder: Path
    formats: list[str]
    threads: int
    rounds: int
    clock: Clock


def open_all(model: VisionModel, name: str, case: Case) -> dict[str, Runtime]:
    """The model in every runtime."""
    runtimes: dict[str, Runtime] = {"torch, folded, channels_last": TorchRuntime(model)}
    for format in case.formats:
        path = case.folder / f"{name}{FORMATS[format].suffix}"
        # Weights differ with the image, the threads and the version: only what was made of these is kept.
        if not path.exists() or open_runtime(path).artifact != plan_artifact(model, ExportOptions()):
            export_model(model, format, path)
        runtimes[TITLES[format]] = open_runtime(path, case.threads)
    return runtimes


def compare_cores(model: VisionModel, name: str, case: Case) -> None:
    """Images -> raw outputs, against the model as it is."""
    pictures = torch.randint(0, 256, (4, 3, *model.resize.image_size), dtype=torch.uint8)
    settle(model, pictures)
    images = pictures[:1]

    @torch.inference_mode()
    def eager() -> Any:
        return model(images)

    runtimes = open_all(model, name, case)
    expected = raw(model, images)
    largest = max(float(output.abs().max()) for output in expected)
    for title, runtime in runtimes.items():
        found = runtime(images).values()
        gap = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))
        print(f"  {title}: largest difference {gap:.1e}, largest output {largest:.1e}")
    calls: dict[str, Callable[[], Any]] = {"torch eager, NCHW": eager}
    calls |= {title: partial(runtime, images) for title, runtime in runtimes.items()}
    print(table(f"{name}, core", interleaved(calls, case.rounds, case.clock)))


def compare_label_maps(model: Segmenter, case: Case) -> None:
    """Images of 1024x2048 -> label maps of the same size."""
    images = torch.randint(0, 256, (1, 3, 1024, 2048), dtype=torch.uint8)
    size = (1024, 2048)

    @torch.inference_mode()
    def eager() -> Any:
        return model.resize.restore_logits(model(images)[0], size).argmax(dim=0)

    calls: dict[str, Callable[[], Any]] = {"torch eager, interpolate, argmax": eager}
    for title, runtime in open_all(model, "lraspp_1024x2048", case).items():
        calls[title] = partial(segment, runtime, images, [size])
    print(table("lraspp_1024x2048 with its label map", interleaved(calls, case.rounds, case.clock)))
    logits = torch.randn(19, 128, 256)
    steps: dict[str, Callable[[], Any]] = {
        "interpolate, argmax": lambda: model.resize.restore_logits(logits, size).argmax(dim=0),
        "restore_labels": lambda: model.resize.restore_labels(logits, size),
    }
    print(table("logits 19x128x256 -> label map 1024x2048", interleaved(steps, case.rounds, case.clock)))


def make_torchvision(image: torch.Tensor) -> Any:
    """Their detector with statistics of ``image`` (3, H, W) and scores as if trained."""
    theirs: Any = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    norms = [layer for layer in theirs.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
    batch = torch.nn.functional.interpolate(image[None].float() / 127.5 - 1, (320, 320)).repeat(4, 1, 1, 1)
    batch = batch + torch.randn(batch.shape) * 0.2
    with torch.no_grad():
        features = list(theirs.backbone(batch).values())
        theirs.head(features)
        theirs.eval()
        features = list(theirs.backbone(batch).values())
        spread = theirs.head(features)["cls_logits"].std()
        for block in theirs.head.classification_head.module_list:
            block[1].weight *= 2.0 / spread
            block[1].bias.view(-1, 91)[:, 0] += 7.0
    return theirs


def compare_pipelines(path: Path, case: Case) -> None:
    """JPEG bytes -> final boxes in the image's pixels."""
    data = np.fromfile(path, dtype=np.uint8)
    encoded = torch.from_numpy(data)
    torch.manual_seed(0)
    theirs = make_torchvision(decode_image(encoded, ImageReadMode.RGB))
    model: Detector = ssdlite_v3_large_coco.model(tuple(f"class {i}" for i in range(90))).eval()
    model.load_state_dict(from_published(model, theirs.state_dict(), "torchvision"), strict=False)

    @torch.inference_mode()
    def torchvision() -> dict[str, torch.Tensor]:
        image = decode_image(encoded, ImageReadMode.RGB).float() / 255
        found: dict[str, torch.Tensor] = theirs([image])[0]
        return found

    def ours(runtime: Runtime) -> Detections:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert pixels is not None, path
        image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        images = to_tensor(runtime.artifact.resize.apply(image))[None]
        return restore_detections(runtime.artifact, detect(runtime, images), [image.shape[:2]])[0]

    runtimes = open_all(model, "ssdlite_as_torchvision", case)
    expected = torchvision()
    best = float(expected["scores"].max())
    print(f"  torchvision finds {len(expected['scores'])} boxes, the best at {best:.2f}")
    calls: dict[str, Callable[[], Any]] = {"torchvision eager": torchvision}
    for title, runtime in runtimes.items():
        calls[title] = partial(ours, runtime)
        found = ours(runtime)
        is_same = box_iou(expected["boxes"], found.boxes) > 0.9
        is_same &= expected["labels"][:, None] - 1 == found.labels
        strong = expected["scores"] > 0.05
        print(f"  {title}: {int(is_same.any(dim=1)[strong].sum())} of {int(strong.sum())} boxes > 0.05 found")
    print(table(f"{path.name}: JPEG bytes -> boxes", interleaved(calls, case.rounds, case.clock)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="of the process, for a busy machine")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--no-large", action="store_true", help="leave 1024x2048 out")
    parser.add_argument("--formats", nargs="+", choices=TITLES, default=["onnx", "openvino"])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    case = Case(arguments.folder, arguments.formats, arguments.threads, arguments.rounds, clock)
    names = tuple(f"class {i}" for i in range(90))
    compare_cores(ssdlite_v3_large_coco.model(names).eval(), "ssdlite_320", case)
    segmenter = lraspp_v3_large_cityscapes.model(names[:19], image_size=(512, 512)).eval()
    compare_cores(segmenter, "lraspp_512", case)
    if not arguments.no_large:
        large = lraspp_v3_large_cityscapes.model(names[:19]).eval()
        compare_label_maps(large, case._replace(rounds=max(3, case.rounds // 4)))
    if arguments.image:
        compare_pipelines(arguments.image, case)


if __name__ == "__main__":
    main()
