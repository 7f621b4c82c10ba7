"""Convert a published file: python tools/import_weights.py FILE [--into CONFIG] --output FILE"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="pocketvision import-weights",
        description="Bring a file of torchvision, timm or TensorFlow into a config's model, or into its own.",
    )
    parser.add_argument("file", metavar="FILE|NAME", help="file or a name such as coco or timm/MODEL")
    parser.add_argument("overrides", metavar="part.key=value", nargs="*", help="values to change")
    parser.add_argument("--into", metavar="CONFIG", help="whose model takes the weights (else its own)")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help=".safetensors to write")
    parser.add_argument(
        "--class-ids", help="ids of the model's classes in a TensorFlow file, as 1,18,3 (0 is its background)"
    )
    parser.add_argument("--licence", help="licence of the weights, for the passport (such as Apache-2.0)")
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="IMAGES",
        help="folder to measure statistics of folded BatchNorms on",
    )
    arguments = parser.parse_intermixed_args(argv)
    config = None if arguments.into is None else find_config(arguments.into)
    if arguments.output.suffix != ".safetensors":
        raise InputError(f"{arguments.output} would not be a safetensors file: name it with .safetensors.")
    if arguments.output.exists():
        raise InputError(f"{arguments.output} exists already: choose another --output, or move it away.")
    class_ids = _numbers(arguments.class_ids)

    from pocketvision.runs.importing import import_weights

    import_weights(
        arguments.file,
        config,
        arguments.overrides,
        arguments.output,
        class_ids,
        arguments.licence,
        arguments.calibrate,
    )
    print(f"weights: {arguments.output}")


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise InputError(f"--class-ids is '{text}': give numbers with commas, such as 1,18,3.") from error


if __name__ == "__main__":
    sys.exit(main())
