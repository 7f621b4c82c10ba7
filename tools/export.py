"""Export a model for a runtime: python tools/export.py RUN --format onnx --output model.onnx"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError

if TYPE_CHECKING:
    from pocketvision.deploy.formats import ExportOptions


@command
def main(argv: Sequence[str] | None = None) -> None:
    from pocketvision.deploy.formats import check_format

    arguments = _parser().parse_args(argv)
    _check_source(arguments.source, arguments.weights)
    options = _options(arguments)
    check_format(arguments.format, arguments.output, options)
    if arguments.output.exists():
        raise InputError(f"{arguments.output} exists already: choose another --output, or move it away.")

    from pocketvision.deploy.export import export_model
    from pocketvision.tasks.load import load_model

    model = load_model(arguments.source, arguments.weights)
    if options.licence is None:
        options = replace(options, licence=_licence(arguments.source, arguments.weights))
    print(f"exported: {export_model(model, arguments.format, arguments.output, options)}")


def _parser() -> argparse.ArgumentParser:
    from pocketvision.deploy.formats import FORMATS

    parser = argparse.ArgumentParser(
        prog="export", description="Write a model as a file for ONNX Runtime, OpenVINO or PyTorch."
    )
    parser.add_argument(
        "source", metavar="RUN|FILE|CONFIG", help="a run folder, our .safetensors, or a config with --weights"
    )
    parser.add_argument("--weights", metavar="FILE", help="weights file (default: the run's best)")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="file to write")
    parser.add_argument("--nms", action="store_true", help="detectors: final boxes instead of raw outputs")
    parser.add_argument("--labels", action="store_true", help="segmenters: a label map instead of logits")
    parser.add_argument("--input", choices=("uint8", "float"), default="uint8", help="0..255 in both")
    parser.add_argument("--batch", default="dynamic", metavar="N|dynamic", help="images a call takes")
    parser.add_argument("--size", choices=("fixed", "dynamic"), default="fixed", help="of the images")
    parser.add_argument("--licence", help="of the weights (default: what their file says)")
    return parser


def _check_source(source: str, weights: str | None) -> None:
    path = Path(source)
    if path.is_dir() or path.suffix == ".safetensors":
        return
    if not path.is_file() and "/" in source:
        raise InputError(f"There is no run folder {source}: check the path.")
    find_config(source)
    if weights is None:
        raise InputError(f"{source} is a config, not a run folder: give its weights with --weights FILE.")


def _options(arguments: argparse.Namespace) -> ExportOptions:
    from pocketvision.deploy.formats import ExportOptions

    if arguments.batch != "dynamic" and not arguments.batch.isdecimal():
        raise InputError(f"--batch is '{arguments.batch}': give a number, or 'dynamic'.")
    return ExportOptions(
        nms=arguments.nms,
        label_map=arguments.labels,
        input_type=arguments.input,
        batch=None if arguments.batch == "dynamic" else int(arguments.batch),
        dynamic_size=arguments.size == "dynamic",
        source=arguments.weights or arguments.source,
        licence=arguments.licence,
    )


def _licence(source: str, weights: str | None) -> str | None:
    """What the passport of the weights says, if they have one."""
    from pocketvision.core.weights import read_passport

    path = Path(weights or source)
    path = path / "weights.safetensors" if path.is_dir() else path
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    licence: str | None = read_passport(path).get("licence")
    return licence


if __name__ == "__main__":
    sys.exit(main())
