"""Say which pictures to label next: python tools/rank.py RUN photos/ --count 50 --output next"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import command
from pocketvision.core.errors import InputError
from pocketvision.core.files import free_path


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    _check(arguments)
    from pocketvision.deploy.predict.predictor import Predictor
    from pocketvision.deploy.predict.sources import find_sources
    from pocketvision.deploy.prediction_formats import check_picture_files
    from pocketvision.deploy.rank.doubt import relative
    from pocketvision.deploy.rank.looks import look_at_pictures
    from pocketvision.deploy.rank.order import order
    from pocketvision.deploy.rank.results import write_results
    from pocketvision.deploy.runtimes.devices import torch_device
    from pocketvision.deploy.runtimes.torch_module import TorchRuntime
    from pocketvision.runs.ready_model import load_model

    output = arguments.output or free_path(Path("out", "rank", Path(arguments.model).resolve().stem))
    sources = find_sources(arguments.images, output)
    labeled = [] if arguments.labeled is None else find_sources([str(arguments.labeled)])
    check_picture_files([*sources, *labeled], "rank")
    places = {Path(source.name).resolve() for source in labeled}
    unlabeled = [source for source in sources if Path(source.name).resolve() not in places]
    device = torch_device(arguments.device)
    model = load_model(arguments.model)
    looks, failures = look_at_pictures(model, [*unlabeled, *labeled], device, arguments.batch)
    num_unlabeled = len(set(looks.sources) - set(labeled))
    if not num_unlabeled:
        raise InputError(f"None of the {len(sources)} pictures is unlabeled and can be read: give others.")
    doubt = relative(looks.doubts[:num_unlabeled])
    ranking = order(doubt, looks.features, looks.thumbnails, arguments.count)
    files = write_results(output, looks.sources, ranking.places, Predictor(TorchRuntime(model, device)))
    failed = f", {len(failures)} failed" if failures else ""
    print(
        f"{num_unlabeled} unlabeled pictures{failed}: the {len(ranking.places)} to label first are in order"
    )
    if ranking.num_like:
        print(f"left out, as one of these or a labeled one shows nearly the same: {ranking.num_like}")
    print(f"results: {', '.join(map(str, files))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pocketvision rank",
        description="Order unlabeled pictures by how much labeling them should teach: by the model's doubt, "
        "times how unlike a picture is to those before it. No two show nearly the same.",
    )
    parser.add_argument("model", metavar="RUN|FILE", help="run folder or checkpoint, or our .safetensors")
    parser.add_argument("images", metavar="IMAGE|FOLDER|GLOB|-", nargs="+", help="pictures without labels")
    parser.add_argument(
        "--labeled", type=Path, metavar="DIR", help="pictures that have labels: what is like them is not new"
    )
    parser.add_argument("--count", type=int, default=50, metavar="N", help="how many to choose (default: 50)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the results (default: out/rank/MODEL)"
    )
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="images at a time (default: 8)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    return parser


def _check(arguments: argparse.Namespace) -> None:
    for name in ("count", "batch"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}: give a number from 1.")
    if arguments.output is not None and arguments.output.exists() and not arguments.output.is_dir():
        raise InputError(f"{arguments.output} is a file: give a folder as --output.")


if __name__ == "__main__":
    sys.exit(main())
