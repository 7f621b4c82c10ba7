"""Show what a model is trained on: python tools/show_data.py CONFIG | PATH [part.key=value ...]"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import command, find_config
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new, free_path


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="pocketvision show-data",
        description="Write a contact sheet of training images as the model sees them: resized, augmented, "
        "with boxes or masks.",
    )
    parser.add_argument("source", metavar="CONFIG|PATH", help="a config, or a data set as for train --data")
    parser.add_argument("overrides", metavar="part.key=value", nargs="*", help="values to change")
    parser.add_argument("--output", type=Path, metavar="FILE.png", help="(default: out/show/NAME.png)")
    parser.add_argument("--num", type=int, default=16, help="images on the sheet (default: 16)")
    parser.add_argument(
        "--anchors", action="store_true", help="instead, one image with the anchors matched to its boxes"
    )
    arguments = parser.parse_intermixed_args(argv)
    if arguments.num < 1:
        raise InputError(f"--num is {arguments.num}: give a number of images from 1 up.")
    if arguments.output is not None and arguments.output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{arguments.output} is no name of a picture: end it with .png or .jpg.")
    place = Path(arguments.source).expanduser()
    is_data = place.is_dir() or place.suffix.lower() in (".json", ".csv", ".yaml", ".yml")
    if is_data:
        with tempfile.TemporaryDirectory(prefix="pocketvision-config-") as folder:
            show(own_config(place, arguments.overrides, Path(folder)), arguments)
    else:
        show(find_config(arguments.source), arguments)


def own_config(place: Path, overrides: Sequence[str], folder: Path) -> Path:
    """The config that ``train --data`` would write, without asking for weights."""
    from pocketvision.tasks.own.look import look_at, write_config

    own = look_at(place, None, None, overrides)
    print("\n".join(own.lines()), flush=True)
    return write_config(own, folder, overrides, "show-data", check_weights=False)[0]


def show(config: Path, arguments: argparse.Namespace) -> None:
    """Write the picture of a config's training data."""
    from pocketvision.core.config import parameters
    from pocketvision.core.drawing import save_image
    from pocketvision.datasets import JointDataModule
    from pocketvision.doctor.data_sheet import anchor_sheet, data_sheet
    from pocketvision.models import Detector, detector_in
    from pocketvision.runs.build import build, refusing_bad_values
    from pocketvision.runs.folder import load_experiment

    experiment, _ = load_experiment(config, arguments.overrides)
    model, data = build(experiment, pretrained=False)
    with refusing_bad_values():
        if arguments.anchors:
            task = experiment.task
            if isinstance(data, JointDataModule) and (boxes := detector_in(model)) is not None:
                model, data = boxes, data.parts["detection"]
                task = parameters(task)["tasks"]["detection"]
            if not isinstance(model, Detector):
                raise InputError("--anchors is for detectors: this model has none.")
            sheet, line = anchor_sheet(model, data, parameters(task)["loss"])
            print(line)
        else:
            sheet = data_sheet(data, arguments.num)
    check_new(arguments.output, "--output")
    output = arguments.output or free_path(Path("out", "show", f"{config.stem}.png"))
    output.parent.mkdir(parents=True, exist_ok=True)
    save_image(output, sheet)
    print(f"picture: {output}")


if __name__ == "__main__":
    sys.exit(main())
