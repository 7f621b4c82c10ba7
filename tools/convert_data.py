"""Write a detection data set in another format: python tools/convert_data.py SRC --to coco --output DIR"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty
from pocketvision.core.terminal import printable

_LINKED = (
    "Images are hard links to those of the source where possible: what is edited in one changes both "
    "(--copy-images copies them)."
)
_GROUPINGS = ("clip", "folder", "prefix", "likeness")
_FORMATS = ("coco", "voc", "yolo", "csv")


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    parser = argparse.ArgumentParser(
        prog="pocketvision convert-data",
        description="Write a detection data set in another format. The source is never changed.",
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="folder, data.yaml, CSV or COCO JSON")
    parser.add_argument("--to", required=True, choices=_FORMATS, help="format to write")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="new folder")
    parser.add_argument(
        "--copy-images", action="store_true", help="copy images (default: hard links where possible)"
    )
    parser.add_argument(
        "--divide-by",
        choices=_GROUPINGS,
        help="divide data without validation images: clips, folders, files that differ in their last number, "
        "or images that show nearly the same stay on one side",
    )
    parser.add_argument("--val-fraction", type=float, default=0.2, metavar="F", help="default: 0.2")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    if not 0 < arguments.val_fraction < 1:
        raise InputError(f"--val-fraction is {arguments.val_fraction:g}: give a number between 0 and 1.")
    check_empty(arguments.output, "--output")

    from pocketvision.datasets.convert.between_formats import convert_data
    from pocketvision.datasets.formats.detect import detect_format

    found = detect_format(arguments.source, "detection")
    print(printable(found.description.partition(";")[0]))
    counts, sentences = convert_data(
        found,
        arguments.to,
        arguments.output,
        copy_images=arguments.copy_images,
        grouping=arguments.divide_by,
        val_fraction=arguments.val_fraction,
    )
    if not arguments.copy_images:
        sentences = [*sentences, _LINKED]
    print("\n".join(map(printable, [*counts, *sentences, f"written: {arguments.output}"])))


if __name__ == "__main__":
    sys.exit(main())
