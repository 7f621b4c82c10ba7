"""Predict on images, videos and streams: python tools/predict.py RUN photos/ --output found"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new, free_path
from pocketvision.core.memory import keep_freed_memory

STDOUT = Path("-")


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    _check(arguments)

    from pocketvision.deploy.predict.output_names import OutputNames
    from pocketvision.deploy.predict.pipeline import predict_sources
    from pocketvision.deploy.predict.predictor import Predictor
    from pocketvision.deploy.predict.sources import find_sources
    from pocketvision.deploy.predict.writers import Writers
    from pocketvision.deploy.prediction_formats import check_pictures, check_task, parse_formats

    keep_freed_memory()
    output = _output(arguments)
    formats = parse_formats(arguments.format) if output is not None else ()
    sources = find_sources(arguments.media, output)
    check_pictures(formats, sources)

    predictor = Predictor.load(
        arguments.model,
        threshold=arguments.threshold,
        batch_size=arguments.batch,
        tile=arguments.tile,
        overlap=arguments.overlap,
        threads=arguments.threads,
        device=arguments.device,
    )
    artifact = predictor.artifact
    check_task(formats, artifact.task)
    names = OutputNames(output or Path(), sources, arguments.json)
    writers = Writers(formats, names, artifact.task, artifact.class_names, arguments.json)
    summary = predict_sources(predictor, sources, writers, arguments.max_frames)
    say = partial(print, file=sys.stderr if arguments.json == STDOUT else sys.stdout)
    has_boxes = any(part.task == "detection" for part in (artifact, *artifact.parts))
    threshold = f", boxes with scores above {predictor.threshold:.2f}" if has_boxes else ""
    say(f"{summary}{threshold}")
    if names.num_renamed:
        say(f"files with other names than their images, as those were there already: {names.num_renamed}")
    places = [str(place) for place in (output, arguments.json) if place and place != STDOUT]
    if places:
        say(f"results: {' and '.join(places)}")


def _output(arguments: argparse.Namespace) -> Path | None:
    """The folder for results: a new one below out/ unless the user names one, or wants JSON alone."""
    if arguments.output is not None:
        return Path(arguments.output)
    if arguments.json is not None:
        return None
    return free_path(Path("out", "predict", Path(arguments.model).resolve().stem))


def _parser() -> argparse.ArgumentParser:
    from pocketvision.deploy.prediction_formats import PREDICTION_FORMATS

    parser = argparse.ArgumentParser(
        prog="pocketvision predict",
        description="Find objects, classes of pixels or of images, and draw or write them.",
        epilog="The backend is found from the file: PyTorch, ONNX, OpenVINO, LiteRT, ExecuTorch or ncnn.",
    )
    parser.add_argument(
        "model",
        metavar="RUN|FILE",
        help="run, .safetensors, .onnx, .xml, .pt2, .tflite, .pte, .param; others' .tflite, .pb, .pth",
    )
    parser.add_argument(
        "media",
        metavar="IMAGE|FOLDER|GLOB|VIDEO|0|URL|-",
        nargs="+",
        help="0 is the first camera, - reads an image or a list of paths from stdin",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the results (default: out/predict/MODEL)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all results as one JSON list; - prints it")
    parser.add_argument(
        "--threshold",
        type=float,
        help="least score of a box (default: what is best on the model's validation images, or 0.5)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps or gpu (default: auto, the best here)"
    )
    parser.add_argument(
        "--format", default="images", metavar="F,F", help=f"{','.join(PREDICTION_FORMATS)} (default: images)"
    )
    parser.add_argument("--tile", type=_size, metavar="H,W", help="see large images in tiles of this size")
    parser.add_argument("--overlap", type=float, default=0.2, help="of tiles, as a share (default: 0.2)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images at a time (default: 1)")
    parser.add_argument("--max-frames", type=int, metavar="N", help="of each video or stream")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU (default: the runtime's choice)")
    return parser


def _size(text: str) -> tuple[int, int]:
    height, width = (int(part) for part in text.split(","))
    return height, width


_size.__name__ = "height,width"  # argparse names it in its message


def _check(arguments: argparse.Namespace) -> None:
    if arguments.json is not None and arguments.json != STDOUT:
        check_new(arguments.json, "--json")
    if arguments.output is not None and arguments.output.exists() and not arguments.output.is_dir():
        raise InputError(f"{arguments.output} is a file: give a folder as --output.")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise InputError(f"--threshold is {arguments.threshold:g}: give a score from 0 to 1.")
    if not 0 <= arguments.overlap < 0.9:
        raise InputError(f"--overlap is {arguments.overlap:g}: give a share from 0, below 0.9.")
    if arguments.tile is not None and min(arguments.tile) < 16:
        raise InputError("--tile is too small: give a height and width of at least 16 pixels, as 640,640.")
    for name in ("batch", "max_frames", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} is {value}: give a number from 1.")


if __name__ == "__main__":
    sys.exit(main())
