"""Other channels against RGB of the same information: 16-bit gray for boxes, five channels for masks.

    python benchmarks/channels.py SHARED OUTPUT [--detection_steps 300] [--segmentation_steps 200]

SHARED holds data/ and weights/. Of bccd two sets are made: gray PNG of 16 bits, and RGB PNG of 8 bits whose
three channels are that gray. Of camvid two more: TIFF of five pages (red, green, blue, edges, excess green),
and RGB TIFF; the further planes are computed from the colors and tell nothing new. Each pair is trained with
``train --data`` from published weights of MobileNetV2, with one recipe and equal steps, and scored once on
the validation split. How far the other channels are from RGB comes with a paired bootstrap over the images.
Then the other channels' runs are exported to ONNX and OpenVINO, with a certificate on their validation split.
Called again it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from pocketvision.evaluation.compare import compare

Pixels = npt.NDArray[np.uint8]

TOOLS = Path(__file__).resolve().parent.parent / "tools"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
RUNTIMES = {"onnx": "model.onnx", "openvino": "model.xml"}
BAR = 0.02


class Pair(NamedTuple):
    """Two data sets of the same information: ``make`` (from, to, whether of other channels) writes one."""

    data: str
    model: str
    metric: str
    batch_size: int
    make: Callable[[Path, Path, bool], None]


def sixteen_bit_gray(colors: Pixels) -> npt.NDArray[np.uint16]:
    """(H, W) from RGB: 65535 is white."""
    gray: npt.NDArray[np.float32] = colors.astype(np.float32) @ LUMA
    return np.rint(257 * gray).astype(np.uint16)


def five_planes(colors: Pixels) -> Pixels:
    """RGB (H, W, 3), its edges and its excess of green, (H, W, 5)."""
    gray = (colors.astype(np.float32) @ LUMA).astype(np.float32)
    edges = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)) / 4
    red, green, blue = np.moveaxis(colors.astype(np.float32), 2, 0)
    excess = (2 * green - red - blue) / 4 + 127.5
    planes = np.stack([np.clip(np.rint(plane), 0, 255) for plane in (edges, excess)], axis=2)
    return np.concatenate([colors, planes.astype(np.uint8)], axis=2)


def make_gray(source: Path, folder: Path, is_other: bool) -> None:
    """Pascal VOC as it is, with gray PNG: of 16 bits, or RGB of the nearest 8."""
    for name in ("Annotations", "ImageSets"):
        shutil.copytree(source / name, folder / name)
    for file in (folder / "Annotations").glob("*.xml"):
        file.write_text(file.read_text().replace(".jpg<", ".png<"))
    (folder / "JPEGImages").mkdir()
    for file in sorted((source / "JPEGImages").iterdir()):
        gray = sixteen_bit_gray(np.asarray(Image.open(file).convert("RGB")))
        eight = np.rint(gray / 257).astype(np.uint8)
        picture = Image.fromarray(gray) if is_other else Image.fromarray(np.dstack([eight] * 3))
        picture.save(folder / "JPEGImages" / f"{file.stem}.png")


def make_planes(source: Path, folder: Path, is_other: bool) -> None:
    """Folders of masks as they are, with TIFF: five pages, or RGB."""
    for split in ("train", "val"):
        shutil.copytree(source / split / "masks", folder / split / "masks")
        (folder / split / "images").mkdir()
        for file in sorted((source / split / "images").iterdir()):
            colors = np.asarray(Image.open(file).convert("RGB"))
            planes = np.moveaxis(five_planes(colors), 2, 0) if is_other else [colors]
            first, *others = (Image.fromarray(np.ascontiguousarray(plane)) for plane in planes)
            path = folder / split / "images" / f"{file.stem}.tif"
            first.save(path, save_all=True, append_images=others, compression="packbits")


PAIRS = {
    "detection": Pair("bccd", "ssdlite_v2", "AP", 16, make_gray),
    "segmentation": Pair("camvid", "lraspp_v2", "mIoU", 8, make_planes),
}


def train(task: str, way: str, arguments: argparse.Namespace) -> Path:
    """Make the data and train a run, as far as that is not done; the run's folder."""
    pair = PAIRS[task]
    output: Path = arguments.output
    data, run = output / f"{pair.data}_{way}", output / f"{task}_{way}"
    if not data.is_dir():
        unfinished = output / f"{data.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        pair.make(arguments.shared / "data" / pair.data, unfinished, way == "other")
        unfinished.rename(data)
    if (run / "metrics.json").is_file():
        return run
    command = ["--resume", str(run)]
    if not any(run.glob("checkpoints/*")):
        shutil.rmtree(run, ignore_errors=True)  # stopped before its first checkpoint
        steps = getattr(arguments, f"{task}_steps")
        command = [*words(pair, data, steps, arguments.shared), *arguments.more, "--run-dir", str(run)]
    print(f"== {run.name}", flush=True)
    subprocess.run([sys.executable, str(TOOLS / "train.py"), *command], check=True)
    return run


def words(pair: Pair, data: Path, steps: int, shared: Path) -> list[str]:
    """The command line of a run, the same for both but for the data."""
    return [
        *("--data", str(data), "--model", pair.model),
        f"model.weights={shared / 'weights' / 'mobilenet_v2-b0353104.pth'}",
        f"data.batch_size={pair.batch_size}",
        *(f"trainer.max_steps={steps}", "trainer.limit_val_batches=0"),
        *(f"task.warmup_steps={max(1, steps // 10)}", f"task.ema_decay={1 - 1 / max(10, steps // 20)}"),
        *("task.freeze_until=None", f"model.norm_momentum={min(0.1, max(0.01, 30 / steps)):.3g}"),
    ]


def export(run: Path, data: Path) -> dict[str, bool]:
    """A file for each runtime, with its certificate, in the run's folder; whether each passed."""
    passed = {}
    for name, file in RUNTIMES.items():
        folder = run / name
        certificate = (folder / file).with_suffix(".certificate.json")
        if not certificate.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            order = [str(run), "--format", name, "--output", str(folder / file), "--verify", str(data)]
            subprocess.run([sys.executable, str(TOOLS / "export.py"), *order], check=False)
        passed[name] = certificate.is_file() and bool(json.loads(certificate.read_text())["passed"])
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--detection_steps", type=int, default=300)
    parser.add_argument("--segmentation_steps", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--more", nargs="+", default=[], help="part.key=value for every run")
    arguments = parser.parse_args()
    file: Path = arguments.output / "results.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    for task in arguments.only:
        rgb, other = (train(task, way, arguments) for way in ("rgb", "other"))
        comparison = compare(rgb, other)
        metric = PAIRS[task].metric
        a, b, difference = comparison.metrics[metric]
        passed = export(other, arguments.output / f"{PAIRS[task].data}_other")
        results[task] = {"rgb": a, "other": b, **difference._asdict(), "certificates": passed}
        interval = f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        verdict = f"{'within' if abs(a - b) <= BAR else 'NOT within'} {BAR}"
        exported = ", ".join(f"{name} {'passed' if ok else 'FAILED'}" for name, ok in passed.items())
        print(f"{task}: {metric} {a:.4f} of RGB, {b:.4f} of the others, {interval}, {verdict}; {exported}")
        file.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
