"""Core ML packages, which can't be run here: read back, looked at, and computed operator by operator."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.deploy.certificate.images import ImageSet
from pocketvision.deploy.certificate.side_by_side import ExportComparison, compare
from pocketvision.deploy.certificate.verdict import Check
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import run_script
from pocketvision.deploy.runtimes.artifact import LABEL_MAP
from pocketvision.deploy.runtimes.graphs import make_graph
from pocketvision.deploy.runtimes.mil_program import MilProgram, MilRuntime, read_listing
from pocketvision.deploy.runtimes.mil_structure import check_structure
from pocketvision.models import VisionModel

SUFFIX = ".mlpackage"


def compare_package(
    model: VisionModel, path: Path, images: ImageSet, converters: Converters
) -> tuple[ExportComparison, list[Check]]:
    """What its program answers to ``images`` beside PyTorch, and what was found of its structure.

    Raises:
        InputError: the package can't be read or is not of this model, an image is broken, or there are no
            converters.
    """
    program = read_package(path, converters)
    runtime = MilRuntime(program, path)
    graph = make_graph(model, label_map=runtime.artifact.outputs == LABEL_MAP)
    checks = [Check(*check) for check in check_structure(program, graph, path)]
    wrong = [check.text for check in checks if not check.passed]
    if wrong:
        raise InputError(f"{path} is not what was made of this model ({wrong[0]}): export it again.")
    return compare(model, path, images, runtime), checks


def read_package(path: Path, converters: Converters) -> MilProgram:
    """The program in a package, read by Apple's own tools.

    Raises:
        InputError: they can't read it, or are not there.
    """
    if not (path / "Manifest.json").is_file():
        raise InputError(f"{path} is no Core ML package: give the folder that was exported.")
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "listing.npz"
        run_script(converter_python(converters), "coreml_script.py", {"package": str(path)}, listing)
        return read_listing(listing)
