"""Every config in every exported form on real images, against the model in PyTorch, as a Markdown table.

    python benchmarks/export_matrix.py SHARED OUTPUT.md [CONFIG ...] [--folder FOLDER] [--images 8]
        [--formats litert,executorch]

SHARED holds ``data/coco_mini`` and ``data/camvid``, and torchvision's published MobileNetV2, with which V2's
backbones start: random ones amplify float32's rounding tenfold. The rest is random; BatchNorm is measured on
the images and the last layers are scaled until the answers are as decided as a trained model's: small
differences would then show. A row gives the largest difference of the raw outputs and the largest output,
over batches of 1 and 4, or the sentence that says why it can't be exported; with NMS the share of boxes
above 0.05 with a partner at IoU 0.99, score within 1e-3; the size of the file, its operators and the seconds
that exporting took.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from settled import Case, cases

from pocketvision.core.boxes import box_iou
from pocketvision.core.command import shipped_configs
from pocketvision.core.errors import InputError
from pocketvision.core.structures import DetectionBatch
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.formats import FORMATS, ExportOptions
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.deploy.runtimes.results import detect
from pocketvision.models import Detector

logger = logging.getLogger("pocketvision")
BATCH_SIZES = (1, 4)
HEADER = "| config | form | difference | boxes matched | MB | operators | export s |\n" + "|---" * 7 + "|"


def match_rate(found: DetectionBatch, expected: DetectionBatch) -> tuple[int, int]:
    """Boxes above 0.05 of either side with a partner on the other, and how many there are."""
    matched = total = 0
    for ours, reference in zip(found.unpad(), expected.unpad(), strict=True):
        is_same = box_iou(ours.boxes, reference.boxes) >= 0.99
        is_same &= ours.labels[:, None] == reference.labels
        is_same &= (ours.scores[:, None] - reference.scores).abs() <= 1e-3
        for partners, scores in ((is_same.any(dim=1), ours.scores), (is_same.any(dim=0), reference.scores)):
            matched += int(partners[scores > 0.05].sum())
            total += int((scores > 0.05).sum())
    return matched, total


def check(case: Case, format: str, nms: bool, folder: Path) -> str:
    """Export one form, run it on batches of 1 and 4, and describe it in a row."""
    path = folder / f"{case.name}{'_nms' if nms else ''}{FORMATS[format].suffix}"
    start = time.perf_counter()
    form = f"{format}{', NMS' if nms else ''}"
    try:
        export_model(case.model, format, path, ExportOptions(nms=nms))
    except InputError as error:
        return f"| `{case.name}` | {form} | {error} |  |  |  |  |"
    seconds = time.perf_counter() - start
    runtime = open_runtime(path, threads=1)
    difference = "" if nms else case.difference(runtime, BATCH_SIZES)
    share = share_of_boxes(case, runtime) if nms else ""
    size = sum(file.stat().st_size for file in written_files(path)) / 1e6
    operators = str(len(onnx.load(path).graph.node)) if format == "onnx" else ""
    for file in written_files(path):
        file.unlink()
    return f"| `{case.name}` | {form} | {difference} | {share} | {size:.2f} | {operators} | {seconds:.0f} |"


def share_of_boxes(case: Case, runtime: Runtime) -> str:
    """How many boxes have a partner on the other side."""
    matched = total = 0
    assert isinstance(case.model, Detector)
    for batch in (batch for size in BATCH_SIZES for batch in torch.split(case.images, size)):
        counts = match_rate(detect(runtime, batch), case.model.predict(batch))
        matched, total = matched + counts[0], total + counts[1]
    return f"{matched / max(total, 1):.4f} of {total}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("configs", nargs="*", default=None)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/export_matrix"))
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument(
        "--formats", default="onnx,openvino,pt2", help="of those that are written and run here"
    )
    arguments = parser.parse_args(argv)
    logger.setLevel(logging.WARNING)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", encoding="utf-8") as file:
        print(HEADER, file=file)
        names = arguments.configs or list(shipped_configs())
        for case in cases(arguments.shared, names, arguments.images):
            forms = [(format, False) for format in arguments.formats.split(",")]
            if isinstance(case.model, Detector):
                forms += [(format, True) for format, _ in forms if format in ("onnx", "openvino")]
            for format, nms in sorted(forms):
                row = check(case, format, nms, arguments.folder)
                print(row, flush=True)
                print(row, file=file, flush=True)


if __name__ == "__main__":
    main()
