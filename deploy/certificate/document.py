"""A certificate as one HTML page: the verdict, where results part, numbers, pictures side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pocketvision.core.drawing import contact_sheet
from pocketvision.core.page import Cells, Section, Verdict, write_page
from pocketvision.core.resize import Image
from pocketvision.deploy.certificate.device_costs import THREADS
from pocketvision.deploy.certificate.images import METRICS
from pocketvision.deploy.certificate.measured import Certificate
from pocketvision.deploy.certificate.verdict import SHARES, Stage, score_change

_PICTURE_WIDTH = 560
_MEGABYTE = 1e6
_ANSWERS = {True: "the same", False: "differs", None: "not judged"}


def write_certificate_page(certificate: Certificate, path: Path) -> None:
    """Write the page; nothing in it is loaded from elsewhere."""
    task = certificate.comparison.artifact.task
    title = f"Certificate of {certificate.path.name}: {task}, {certificate.kind}"
    verdict = Verdict(certificate.passed, certificate.verdict)
    write_page(path, title, certificate_sections(certificate), verdict)


def certificate_sections(certificate: Certificate) -> list[Section]:
    """What the page has below the verdict."""
    return [
        Section("Tolerances", table=[("what", "result"), *_checks(certificate)]),
        Section("Stages", _stage_text(certificate), _stages(certificate)),
        Section("Numbers", _number_text(certificate), _numbers(certificate)),
        _pictures(certificate),
    ]


def _checks(certificate: Certificate) -> list[Cells]:
    return [(check.text, "passed" if check.passed else "OVER TOLERANCE") for check in certificate.checks]


def _stage_text(certificate: Certificate) -> str:
    images, first = certificate.images, certificate.first_divergence
    text = (
        f"{len(images.paths)} of {images.num_available} images of {images.place}, each stage compared with "
        "PyTorch's own model, neither folded nor traced. "
    )
    text += f"The first stage that differs is {first}. " if first else "No visible stage differs. "
    text += (
        "Largest: of the differences of single numbers. All: root of the sum of squared differences, as a "
        "share of PyTorch's. "
    )
    if any(stage.name == "decode" for stage in certificate.stages):
        text += "Boxes are compared as shares of the input's longer side, before NMS. "
    return text + "Inner stages are read from a copy of the graph that gives them as further outputs."


def _stages(certificate: Certificate) -> list[Cells]:
    head = ("stage", "largest", "limit", "all", "answer", "note")
    return [head, *(_stage_row(stage, certificate.kind) for stage in certificate.stages)]


def _stage_row(stage: Stage, kind: str) -> Cells:
    answer = _ANSWERS[stage.is_within]
    if stage.is_within is None:
        answer = f"{kind} rounds" if kind != "float32" and stage.max_abs is not None else answer
    numbers = (stage.max_abs, stage.limit, stage.relative)
    largest, limit, everything = ("" if number is None else f"{number:.2g}" for number in numbers)
    return stage.name, largest, limit, everything, answer, stage.note


def _number_text(certificate: Certificate) -> str:
    artifact, ours = certificate.comparison.artifact, certificate.costs.torch
    extra = " with NMS" if artifact.has_nms else ""
    return (
        f"Latency: from pixels of the input's size to the outputs of the file{extra}, PyTorch's to raw "
        f"outputs; batch {ours.batch_size}, {THREADS} threads, {ours.num_calls} calls of each in "
        "turn, milliseconds a call. Memory: by how much the peak resident memory of a fresh process grows "
        "from after its imports to after three calls. Size: PyTorch's weights, and the file with all of it."
    )


def _numbers(certificate: Certificate) -> list[Cells]:
    comparison, costs = certificate.comparison, certificate.costs
    rows: list[Cells] = [("number", "PyTorch", certificate.path.name, "file / PyTorch")]
    change = score_change(comparison)
    if change is not None:
        name = METRICS[comparison.artifact.task]
        rows.append(
            (name, f"{comparison.torch_score:.4f}", f"{comparison.artifact_score:.4f}", f"{change:+.4f}")
        )
    rows += [(SHARES[name], "", f"{share:.3%}", "") for name, share in comparison.agreement.shares().items()]
    rows.append(_ratio("size", costs.num_weight_bytes / _MEGABYTE, costs.num_file_bytes / _MEGABYTE, "MB"))
    if costs.artifact is None:
        return rows
    rows += [
        _ratio("latency, median", costs.torch.median * 1e3, costs.artifact.median * 1e3, "ms"),
        _ratio("latency, 90 % stay below", costs.torch.p90 * 1e3, costs.artifact.p90 * 1e3, "ms"),
        _ratio("first answer", costs.torch.cold_start * 1e3, costs.artifact.cold_start * 1e3, "ms"),
    ]
    ours, theirs = costs.torch.peak_memory, costs.artifact.peak_memory
    if ours is not None and theirs is not None:
        rows.append(_ratio("peak memory", ours / _MEGABYTE, theirs / _MEGABYTE, "MB"))
    return rows


def _ratio(name: str, ours: float, theirs: float, unit: str) -> Cells:
    ratio = f"{theirs / ours:.2f}" if ours > 0 else ""
    return name, f"{ours:.1f} {unit}", f"{theirs:.1f} {unit}", ratio


def _pictures(certificate: Certificate) -> Section:
    tiles, captions = [], []
    for pair in certificate.comparison.pairs:
        name = Path(pair.torch.path or "").name
        tiles += [_shrink(pair.torch.draw()), _shrink(pair.artifact.draw())]
        captions += [f"{name}: PyTorch", f"{certificate.path.name}: {pair.agreement:.2%} the same"]
    return Section(
        "The images that differ most",
        "PyTorch on the left, the file on the right.",
        photo=contact_sheet(tiles, 2, captions),
    )


def _shrink(image: Image) -> Image:
    scale = _PICTURE_WIDTH / image.shape[1]
    size = (_PICTURE_WIDTH, max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
