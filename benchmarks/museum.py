"""Public files of others, read by the file alone and scored: the rows of docs/museum.md.

    python benchmarks/museum.py SHARED [FILE ...] [--into ROWS.json]

Without FILE every file in ``SHARED/weights`` that docs/museum.md lists; another FILE is scored on the data of
``SHARED`` that are for its task. A row is printed as soon as it is there: file, hash, what was found, parity
and score. Needs the extra ``tf``.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from pocketvision.core.download import sha256
from pocketvision.core.errors import InputError
from pocketvision.core.weights import read_passport
from pocketvision.evaluation.evaluate_run import score
from pocketvision.runs.foreign import imported_config
from pocketvision.runs.importing import import_weights

FILES = (
    "mobilenet_v2-b0353104.pth",
    "mobilenet_v3_small_1.0_224_uint8.tflite",
    "ssdlite_mobilenet_v2_person_frozen.pb",
)
DATA = {"classification": "imagenet_samples", "detection": "coco_mini", "segmentation": "camvid"}
SCORES = {"classification": ("top1", "top5"), "detection": ("AP", "AP50"), "segmentation": ("mIoU",)}
_PLAIN = ("mean", "std", "padding")
_PARITY = re.compile(r"parity: (.*)")


class Row(NamedTuple):
    """A file, and what came of it."""

    file: str
    sha256: str
    found: str
    parity: str
    score: str

    def __str__(self) -> str:
        parity = self.parity.replace(", for an image with the spectrum of photographs", "")
        return f"| `{self.file}` | `{self.sha256[:16]}` | {self.found} | {parity} | {self.score} |"


class Heard(logging.Handler):
    """Keeps what is said of parity."""

    def __init__(self) -> None:
        super().__init__()
        self.sentence = ""

    def emit(self, record: logging.LogRecord) -> None:
        if match := _PARITY.match(record.getMessage()):
            self.sentence = match[1]


def row_of(file: Path, shared: Path) -> Row:
    """Import ``file`` by itself and score it; a file that is refused says why."""
    heard = Heard()
    logging.getLogger("pocketvision").addHandler(heard)
    logging.getLogger("pocketvision").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        try:
            names = [f"data.root={shared / 'data' / DATA['classification']}"]
            import_weights(str(file), None, names, weights)
            passport = read_passport(weights)
            root = shared / "data" / DATA[passport["task"]]
            words = [f"data.root={root}", "data.num_workers=0"]
            metrics, _ = score(imported_config(weights), words, weights, None, Path(folder) / "scored")
        except InputError as error:
            return Row(file.name, sha256(file), "refused", heard.sentence, str(error))
    kinds = SCORES[passport["task"]]
    said = ", ".join(f"{kind} {metrics[kind]:.3f}" for kind in kinds)
    scored = f"{said} ({metrics['num_images']} images of {root.name}, {metrics['split']})"
    return Row(file.name, sha256(file), found_in(passport), heard.sentence, scored)


def found_in(passport: dict[str, Any]) -> str:
    """What the file holds, in a line."""
    builder = passport["builder"]
    height, width = passport["resize"]["image_size"]
    words = [
        f"{key}={value}" for key, value in builder["arguments"].items() if key not in ("image_size", *_PLAIN)
    ]
    inputs = f"mean {passport['mean'][0]:.3g}, std {passport['std'][0]:.3g}, padding {passport['padding']}"
    classes = sum(name is not None for name in passport["class_names"])
    return f"`{builder['config']}`, {' '.join(words)}; {height}x{width}, {classes} classes, {inputs}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Public files, read by themselves and scored.")
    parser.add_argument("shared", type=Path, metavar="SHARED", help="folder with weights/ and data/")
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="JSON", help="also write the rows here")
    arguments = parser.parse_args()
    files = arguments.files or [arguments.shared / "weights" / name for name in FILES]
    rows = []
    for file in files:
        rows.append(row_of(file, arguments.shared))
        print(rows[-1], flush=True)
    if arguments.into is not None:
        arguments.into.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    if any(row.found == "refused" for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
