"""The part of ``export`` that writes a web page."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from pocketvision.core.errors import InputError


def add_web_options(parser: argparse.ArgumentParser) -> None:
    """Let ``export`` know --web and what belongs to it."""
    parser.add_argument("--web", type=Path, metavar="DIR", help="a web page instead: the folder to write")
    parser.add_argument(
        "--ort-dir",
        type=Path,
        metavar="DIR",
        help="onnxruntime-web's files for --web (default: npm fetches them)",
    )


def check_target(arguments: argparse.Namespace) -> None:
    """Either a file or a web page.

    Raises:
        InputError: it is neither or both, or an option belongs to the other.
    """
    if arguments.web is None:
        if arguments.format is None or arguments.output is None:
            raise InputError(
                "Say what to write: a file with --format and --output, or a page with --web DIR."
            )
        if arguments.ort_dir is not None:
            raise InputError("--ort-dir is for web pages: leave it out, or write one with --web DIR.")
        return
    decided = {
        "--format": arguments.format is not None,
        "--output": arguments.output is not None,
        "--nms": arguments.nms,
        "--labels": arguments.labels,
        "--input": arguments.input != "uint8",
        "--batch": arguments.batch != "dynamic",
        "--size": arguments.size != "fixed",
        "--verify": arguments.verify is not None,
        "--float16": arguments.float16,
        "--split": arguments.split is not None,
        "--client": arguments.client,
    }
    given = [name for name, is_given in decided.items() if is_given]
    if given:
        raise InputError(
            f"A web page's model needs no {' or '.join(given)}: leave it out, or leave --web out."
        )


def export_web(arguments: argparse.Namespace, licence: str | None) -> None:
    """Write the page; ``licence`` is what the weights say of theirs."""
    from pocketvision.deploy.export.to_web import check_folder, write_web_page
    from pocketvision.runs.ready_model import load_model
    from pocketvision.tools.export_int8 import write_int8

    check_folder(arguments.web)
    model = load_model(arguments.source, arguments.weights, overrides=arguments.overrides)
    written = write_web_page(
        model,
        arguments.web,
        ort_folder=arguments.ort_dir,
        source=arguments.weights or arguments.source,
        licence=arguments.licence or licence,
        write_int8=partial(write_int8, arguments, model, "onnx") if arguments.int8 else None,
    )
    print(f"exported: {written}")
