"""A model as a web page: a folder of static files that shows its results in any browser."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pocketvision.core.drawing import palette_for
from pocketvision.core.errors import InputError
from pocketvision.deploy.export.onnxruntime_web import onnxruntime_web_files
from pocketvision.deploy.export.to_file import export_model, plan_artifact
from pocketvision.deploy.formats import ExportOptions, check_pixels
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.models import Detector, Segmenter, VisionModel

logger = logging.getLogger("pocketvision")
_MEGABYTE = 1e6


def write_web_page(
    model: VisionModel,
    folder: Path,
    *,
    ort_folder: Path | None = None,
    source: str | None = None,
    licence: str | None = None,
) -> Path:
    """Write a page that runs ``model`` in the browser to the new ``folder`` and return that path.

    It needs a web server (``python -m http.server``), but no other host: the folder holds the page, the
    model as ONNX with boxes or label map inside, what is known of it (``model.json``), and
    onnxruntime-web, from ``ort_folder`` or as :func:`onnxruntime_web_files` finds it.

    Raises:
        InputError: ``folder`` exists, onnxruntime-web can't be downloaded, or the model can't be exported.
    """
    check_folder(folder)
    check_pixels("--web", model.resize.pixels)
    runtime = onnxruntime_web_files(ort_folder)
    options = replace(web_options(model), source=source, licence=licence)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        part = Path(work) / folder.name
        part.mkdir()
        for file in (files("pocketvision.deploy") / "web").iterdir():
            (part / file.name).write_bytes(file.read_bytes())
        for path in runtime:
            shutil.copyfile(path, part / path.name)
        (part / "model.json").write_text(page_facts(plan_artifact(model, options)), encoding="utf-8")
        export_model(model, "onnx", part / "model.onnx", options)
        part.rename(folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / _MEGABYTE
    logger.info("%s: %.1f MB; to see it: python -m http.server --directory %s", folder, size, folder)
    return folder


def check_folder(folder: Path) -> None:
    """Refuse a folder for a page that exists.

    Raises:
        InputError: it does.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already: choose another folder for --web, or move it away.")


def web_options(model: VisionModel) -> ExportOptions:
    """How the page's model is exported: one image a call, and results instead of raw outputs."""
    return ExportOptions(nms=isinstance(model, Detector), label_map=isinstance(model, Segmenter), batch=1)


def page_facts(artifact: Artifact) -> str:
    """The part of the metadata that the page reads, and the colors of the classes, as JSON."""
    known: dict[str, Any] = json.loads(artifact.to_json())
    wanted = ("task", "class_names", "resize", "outputs", "licence", "weights_sha256", "threshold")
    facts = {name: known[name] for name in wanted}
    return json.dumps({**facts, "colors": palette_for(artifact.class_names)}, ensure_ascii=False)
