"""Core ML packages (.mlpackage), which iPhones run: by Apple's converter in an environment of its own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from torch import nn
from torch.export import save

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters.environment import Converters, converter_python
from pocketvision.deploy.converters.process import run_script
from pocketvision.deploy.export.trace import trace
from pocketvision.deploy.runtimes.artifact import METADATA_KEY, Artifact
from pocketvision.deploy.runtimes.mil_program import read_listing
from pocketvision.deploy.runtimes.mil_structure import check_structure


def write_coreml(graph: nn.Module, artifact: Artifact, path: Path, converters: Converters) -> str:
    """Write ``graph`` as a package for iOS 16 and later: float16 inside, one image a call.

    It takes a picture where the artifact says uint8 and the model reads 8-bit RGB, else an array. Metadata
    are the package's own.

    Raises:
        InputError: the model can't be traced or converted, or there is no converter, or what lies in the
            package is not the model.
    """
    python = converter_python(converters)
    artifact = replace(artifact, batch=1, has_float16=True)
    program = trace(graph, replace(artifact, input_type="float"))
    program.example_inputs = None
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        made, listing = Path(folder) / "model.mlpackage", Path(folder) / "listing.npz"
        save(program, Path(folder) / "program.pt2")
        names = [name for name in artifact.class_names if name is not None]
        request = {
            "program": str(Path(folder) / "program.pt2"),
            "package": str(made),
            "outputs": artifact.outputs,
            "takes_image": artifact.takes_picture,
            "metadata": {METADATA_KEY: artifact.to_json(), "classes": ",".join(names)},
            "licence": artifact.licence or "",
            "description": f"{artifact.task} by pocketvision",
        }
        report = run_script(python, "coreml_script.py", request, listing)
        wrong = [text for text, passed in check_structure(read_listing(listing), graph, path) if not passed]
        if wrong:
            raise InputError(f"coremltools made something else of this model ({wrong[0]}): choose litert.")
        if path.exists():
            path.rename(Path(folder) / "earlier")
        made.rename(path)
    count, version = sum(report["operators"].values()), report["versions"]["coremltools"]
    return f"{count} operators, float16, by coremltools {version}"
