"""A model as a web page: a folder of static files that shows its results in any browser."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketvision.core.drawing import palette_for
from pocketvision.core.errors import InputError
from pocketvision.deploy.export.onnxruntime_web import DEVICES, onnxruntime_web_files
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.export.web_files import fill_service_worker, write_static_files
from pocketvision.deploy.formats import ExportOptions, check_pixels
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.models import VisionModel, detector_in

logger = logging.getLogger("pocketvision")
_MEGABYTE = 1e6

Int8Writer = Callable[[Path, ExportOptions], object]
"""Writes the model in int8 to a file."""


def write_web_page(
    model: VisionModel,
    folder: Path,
    *,
    ort_folder: Path | None = None,
    source: str | None = None,
    licence: str | None = None,
    write_int8: Int8Writer | None = None,
) -> Path:
    """Write a page that runs ``model`` in the browser to the new ``folder`` and return that path.

    It needs a web server (``python -m http.server``), but no other host: the folder holds the page, the
    model as ONNX with boxes inside, what is known of it (``model.json``), and onnxruntime-web, from
    ``ort_folder`` or as :func:`onnxruntime_web_files` finds it. ``write_int8`` writes the model where it is
    to be in int8; WebGPU has no operators for that.

    Raises:
        InputError: ``folder`` exists, onnxruntime-web can't be downloaded, or the model can't be exported.
    """
    check_folder(folder)
    check_pixels("--web", model.resize.pixels)
    devices = ("wasm",) if write_int8 else ("webgpu", "wasm")
    wanted = [name for device in devices for name in DEVICES[device]]
    runtime = [path for path in onnxruntime_web_files(ort_folder) if path.name in wanted]
    options = replace(web_options(model), source=source, licence=licence)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        part = Path(work) / folder.name
        part.mkdir()
        write_static_files(part)
        for path in runtime:
            shutil.copyfile(path, part / path.name)
        _write_model(part, model, options, devices, write_int8)
        fill_service_worker(part, wanted)
        part.rename(folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / _MEGABYTE
    logger.info("%s: %.1f MB; to see it: python -m http.server --directory %s", folder, size, folder)
    return folder


def _write_model(
    part: Path,
    model: VisionModel,
    options: ExportOptions,
    devices: Sequence[str],
    write_int8: Int8Writer | None,
) -> None:
    facts = {**page_facts(plan_artifact(model, options)), "int8": bool(write_int8), "devices": devices}
    (part / "model.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    if write_int8:
        write_int8(part / "model.onnx", options)
    else:
        export_model(model, "onnx", part / "model.onnx", options)


def check_folder(folder: Path) -> None:
    """Refuse a folder for a page that exists.

    Raises:
        InputError: it does.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already: choose another folder for --web, or move it away.")


def web_options(model: VisionModel) -> ExportOptions:
    """How the page's model is exported: one image a call, and final boxes; masks are made of logits there."""
    return ExportOptions(nms=detector_in(model) is not None, batch=1)


def page_facts(artifact: Artifact) -> dict[str, Any]:
    """The part of the metadata that the page reads, and the classes' colors; of several tasks of each."""
    known: dict[str, Any] = json.loads(artifact.to_json())
    wanted = ("task", "class_names", "resize", "outputs", "licence", "weights_sha256", "threshold")
    facts = {**{name: known[name] for name in wanted}, "colors": palette_for(artifact.class_names)}
    if artifact.postprocess is not None:  # the model has its NMS inside: this one is for tiles
        facts["iou_threshold"] = artifact.postprocess.iou_threshold
    if artifact.parts:
        facts["parts"] = [page_facts(part) for part in artifact.parts]
    return facts
