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
from pocketvision.core.files import check_new
from pocketvision.tools.export_int8 import add_int8_options, check_int8_options, write_int8
from pocketvision.tools.export_web import add_web_options, check_target, export_web

if TYPE_CHECKING:
    from pocketvision.deploy.certificate.images import ImageSet
    from pocketvision.deploy.converters.environment import Converters
    from pocketvision.deploy.formats import ExportOptions
    from pocketvision.models import VisionModel


@command
def main(argv: Sequence[str] | None = None) -> None:
    from pocketvision.deploy.converters.environment import Converters, converter_python
    from pocketvision.deploy.formats import OWN_PYTHON, check_client, check_format

    arguments = _parser().parse_intermixed_args(argv)
    _check_source(arguments.source, arguments.weights)
    check_target(arguments)
    check_int8_options(arguments)
    if arguments.web is not None:
        export_web(arguments, _licence(arguments.source, arguments.weights))
        return
    options = _options(arguments)
    check_format(arguments.format, arguments.output, options)
    _check_new_files(arguments)
    if arguments.client:
        check_client(arguments.format, arguments.output)
    converters = Converters(arguments.converter_python, arguments.yes)
    if arguments.format in OWN_PYTHON:
        converter_python(converters)

    from pocketvision.deploy.export.to_file import export_model
    from pocketvision.runs.ready_model import load_model

    model = load_model(arguments.source, arguments.weights, overrides=arguments.overrides)
    if options.licence is None:
        options = replace(options, licence=_licence(arguments.source, arguments.weights))
    images = None if arguments.verify is None else _images(arguments, model, options)
    if options.int8:
        path = write_int8(arguments, model, arguments.format, arguments.output, options, converters)
    else:
        path = export_model(model, arguments.format, arguments.output, options, converters)
    print(f"exported: {path}")
    if arguments.client:
        from pocketvision.deploy.export.to_client import write_client

        print(f"client: {write_client(path)}")
    if images is not None:
        _verify(model, arguments.output, images, converters)


def _parser() -> argparse.ArgumentParser:
    from pocketvision.deploy.formats import FORMATS

    description = "Write a model as a file for a runtime of another kind, or as a web page."
    parser = argparse.ArgumentParser(prog="pocketvision export", description=description)
    parser.add_argument(
        "source",
        metavar="RUN|FILE|CONFIG",
        help="a run folder, a checkpoint in one, our .safetensors, others' .tflite, .pb, .index, .pth, or a "
        "config with --weights",
    )
    parser.add_argument(
        "overrides", metavar="part.key=value", nargs="*", help="values to change, such as data.root=FOLDER"
    )
    parser.add_argument("--weights", metavar="FILE", help="weights file (default: the run's best)")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write")
    add_web_options(parser)
    _add_graph_options(parser)
    parser.add_argument(
        "--verify",
        type=Path,
        metavar="DATA",
        help="compare the file with PyTorch on a folder of images or a data set: writes a certificate",
    )
    parser.add_argument("--client", action="store_true", help="also a folder that runs it without PyTorch")
    add_int8_options(parser)
    group = parser.add_argument_group(
        "litert, executorch and coreml, whose converters run in an environment of their own"
    )
    group.add_argument("--yes", action="store_true", help="let it be made, once, where it is not there: 7 GB")
    group.add_argument(
        "--converter-python", type=Path, metavar="PATH", help="a Python that has the converter's packages"
    )
    parser.add_argument("--licence", help="of the weights (default: what their file says)")
    return parser


def _add_graph_options(parser: argparse.ArgumentParser) -> None:
    """What is in the graph besides the model, and how it runs."""
    parser.add_argument("--nms", action="store_true", help="detectors: final boxes instead of raw outputs")
    parser.add_argument("--labels", action="store_true", help="segmenters: a label map instead of logits")
    parser.add_argument("--input", choices=("uint8", "float"), default="uint8", help="0..255 in both")
    parser.add_argument("--batch", default="dynamic", metavar="N|dynamic", help="images a call takes")
    parser.add_argument("--size", choices=("fixed", "dynamic"), default="fixed", help="of the images")
    parser.add_argument(
        "--split",
        type=int,
        metavar="T",
        help="run the blocks that need most memory in T groups of channels ('cost --split auto' says T)",
    )


def _check_new_files(arguments: argparse.Namespace) -> None:
    """Refuse to write over what is there, beside the file too: weights, certificates, the report of int8."""
    from pocketvision.deploy.formats import BESIDE

    output: Path = arguments.output
    check_new(output, "--output")
    suffixes = list(BESIDE.get(output.suffix, ()))
    suffixes += [".certificate.json", ".certificate.html"] if arguments.verify is not None else []
    suffixes += [".sensitivity.json"] if arguments.int8 else []
    for suffix in suffixes:
        check_new(output.with_suffix(suffix), "--output")


def _images(
    arguments: argparse.Namespace, model: VisionModel, options: ExportOptions
) -> ImageSet | dict[str, ImageSet]:
    """What to verify with, found before the time for exporting is spent: a run reads its own data itself."""
    from pocketvision.deploy.certificate.images import find_images, images_of
    from pocketvision.deploy.certificate.several import images_of_parts
    from pocketvision.deploy.export.to_file import plan_artifact
    from pocketvision.evaluation.run_data import RunData
    from pocketvision.models import JointModel
    from pocketvision.runs.folder import run_of_checkpoint

    data, source = arguments.verify, Path(arguments.source)
    if isinstance(model, JointModel):
        return images_of_parts(data, plan_artifact(model, options))
    source = run_of_checkpoint(source) or source
    if source.is_dir():
        own = RunData(source, model, arguments.overrides).data
        if Path(getattr(own, "root", "")).resolve() == data.resolve():
            return images_of(own.records(own.val_split), f"{data}, split {own.val_split}")
    return find_images(data, plan_artifact(model, options))


def _verify(
    model: VisionModel, output: Path, images: ImageSet | dict[str, ImageSet], converters: Converters
) -> None:
    """Write the certificate beside the file; over tolerance is an error, but the file stays."""
    from pocketvision.deploy.certificate.document import write_certificate_page
    from pocketvision.deploy.certificate.measured import Certificate, certify, write_certificate
    from pocketvision.deploy.certificate.several import (
        JointCertificate,
        certify_parts,
        write_parts,
        write_parts_page,
    )
    from pocketvision.models import JointModel

    page, numbers = output.with_suffix(".certificate.html"), output.with_suffix(".certificate.json")
    certificate: Certificate | JointCertificate
    if isinstance(images, dict):
        assert isinstance(model, JointModel)
        certificate = certify_parts(model, output, images)
        write_parts(certificate, numbers)
        write_parts_page(certificate, page)
    else:
        certificate = certify(model, output, images, converters)
        write_certificate(certificate, numbers)
        write_certificate_page(certificate, page)
    if not certificate.passed:
        raise InputError(f"{certificate.verdict.removesuffix('.')}: look at {page}.")
    print(f"{certificate.verdict} Certificate: {page}")


def _check_source(source: str, weights: str | None) -> None:
    from pocketvision.runs.folder import run_of_checkpoint
    from pocketvision.runs.foreign import is_foreign

    path = Path(source)
    if path.is_dir() or path.suffix == ".safetensors" or (weights is None and is_foreign(path)):
        return
    if run_of_checkpoint(path) is not None:
        return
    if not path.is_file() and len(path.parts) > 1:
        raise InputError(f"There is no run folder {source}: check the path.")
    if path.suffix in (".ckpt", ".pth", ".pt"):
        raise InputError(
            f"{source} lies in no run folder, and does not say which model it is for: use export CONFIG "
            f"--weights {source}."
        )
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
        int8=arguments.int8,
        float16=arguments.float16,
        split=arguments.split,
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
