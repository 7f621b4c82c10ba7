"""The part of ``export`` that quantizes: where its images and scores come from."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import find_config
from pocketvision.core.errors import InputError

logger = logging.getLogger("pocketvision")

if TYPE_CHECKING:
    from torch import Tensor

    from pocketvision.deploy.converters.environment import Converters
    from pocketvision.deploy.formats import ExportOptions
    from pocketvision.evaluation.run_data import RunData
    from pocketvision.models import VisionModel


def add_int8_options(parser: argparse.ArgumentParser) -> None:
    """What --int8 and its kin are called."""
    parser.add_argument("--float16", action="store_true", help="litert: weights in half the bytes")
    group = parser.add_argument_group("int8")
    group.add_argument("--int8", action="store_true", help="quantize weights and activations")
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="images to measure ranges on (default: the training images of the run)",
    )
    group.add_argument("--num-images", type=int, default=128, metavar="N", help="of them (default: 128)")
    group.add_argument(
        "--max-drop",
        type=float,
        metavar="X",
        help="what AP, mIoU or top-1 (each, of several tasks) may lose on the validation images, as 0.01: "
        "the blocks that int8 would hurt most stay float32 until it holds",
    )


def check_int8_options(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused before a model is built."""
    if not arguments.int8:
        for name in ("calibration", "max_drop"):
            if getattr(arguments, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} is for --int8: leave it out, or add --int8.")
    if arguments.num_images < 1:
        raise InputError(f"--num-images is {arguments.num_images}: give a number from 1.")
    if arguments.max_drop is not None and not 0 <= arguments.max_drop < 1:
        raise InputError(f"--max-drop is {arguments.max_drop:g}: give a share from 0 to below 1, as 0.01.")


def write_int8(
    arguments: argparse.Namespace,
    model: VisionModel,
    format: str,
    output: Path,
    options: ExportOptions,
    converters: Converters | None = None,
) -> Path:
    """Calibrate, quantize and write the file."""
    from pocketvision.deploy.converters.environment import Converters
    from pocketvision.deploy.export.to_int8 import Limit, export_int8
    from pocketvision.deploy.runtimes.exported_models import predictor_of
    from pocketvision.deploy.runtimes.opening import open_runtime

    data = _own_data(arguments, model)
    images = _images(arguments, model, data)
    limit = None
    if data is not None:
        score = data.scores
        limit = Limit(lambda file: score(predictor_of(open_runtime(file))), arguments.max_drop)
    return export_int8(model, format, output, images, options, limit, converters or Converters())


def _own_data(arguments: argparse.Namespace, model: VisionModel) -> RunData | None:
    """The model's own data, looked at before anything is measured; None where nothing needs them."""
    from pocketvision.evaluation.run_data import RunData
    from pocketvision.runs.folder import run_of_checkpoint

    path = Path(arguments.source)
    path = run_of_checkpoint(path) or path
    is_config = not path.is_dir() and path.suffix != ".safetensors"
    try:
        data = RunData(find_config(arguments.source) if is_config else path, model, arguments.overrides)
        data.look()
    except InputError as error:
        if arguments.calibration is None or arguments.max_drop is not None:
            raise
        logger.info("int8 is not scored: %s", error)
        return None
    return data


def _images(arguments: argparse.Namespace, model: VisionModel, data: RunData | None) -> Tensor:
    from pocketvision.deploy.export.calibration_images import read_calibration_images

    if arguments.calibration is not None:
        return read_calibration_images(arguments.calibration, model.resize, arguments.num_images)
    assert data is not None
    return data.calibration_images(arguments.num_images)
