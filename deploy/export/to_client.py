"""A model as a folder that runs anywhere: NumPy, Pillow and the format's runtime, without this package."""

from __future__ import annotations

import ast
import logging
import re
import shutil
import sys
import tempfile
from importlib.resources import files
from itertools import chain
from pathlib import Path

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB
from pocketvision.deploy.export.to_file import written_files
from pocketvision.deploy.formats import CLIENT_FORMATS, check_client, client_folder
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.opening import open_runtime

logger = logging.getLogger("pocketvision")
_MARK = re.compile(r"\s*# <(/?)([\w|]+)>\n")
_PACKAGES = {
    # Those between have a wrong int8 on processors with AMX: microsoft/onnxruntime, issue 26324.
    "onnx": "onnxruntime>=1.20,!=1.21.*,!=1.22.*,!=1.23.*,!=1.24.*",
    "openvino": "openvino>=2025.0,<2026.1",  # later packages are 11 to 20 MB larger, for a GPU and an NPU
    "litert": "ai-edge-litert>=1.0",
    "ncnn": "ncnn>=1.0.20261020",
}
"""What each format needs besides NumPy and Pillow."""
_PARTS = ("opening.py", "pictures.py", "results.py", "tiles.py", "predict.py")
_NO_NAME = "???"
_MEGABYTE = 1e6


def write_client(model: Path) -> Path:
    """Write the folder for the exported file ``model``, beside it, and return its path.

    It holds ``predict.py``, ``requirements.txt``, ``classes.txt`` and a copy of the model. Of the program
    in deploy/client those sections are left that this model needs.

    Raises:
        InputError: as :func:`check_client`, or the model resizes in a way that only OpenCV does.
    """
    artifact = open_runtime(model).artifact
    format = CLIENT_FORMATS.get(model.suffix, model.suffix)
    check_client(format, model)
    wanted = sections(format, artifact)
    folder = client_folder(model)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        part = Path(work) / folder.name
        part.mkdir()
        (part / "predict.py").write_text(program(wanted, model.name), encoding="utf-8")
        packages = ["numpy>=1.26", "pillow>=10.1", _PACKAGES[format]]
        packages += ["tifffile>=2024.1"] if "bands" in wanted else []
        (part / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")
        names = chain.from_iterable(one.class_names for one in artifact.parts or (artifact,))
        lines = (" ".join((name or _NO_NAME).splitlines()) + "\n" for name in names)
        (part / "classes.txt").write_text("".join(lines), encoding="utf-8")
        for file in written_files(model):
            shutil.copyfile(file, part / file.name)
        part.rename(folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / _MEGABYTE
    logger.info("%s: %.1f MB; to try it: python %s photo.jpg", folder, size, folder / "predict.py")
    return folder


def sections(format: str, artifact: Artifact) -> set[str]:
    """The names of the program's sections that the model needs.

    Raises:
        InputError: the model resizes in a way that only OpenCV does.
    """
    if artifact.parts:
        return {"joint"}.union(*(sections(format, part) for part in artifact.parts)) - {"alone"}
    resize, post = artifact.resize, artifact.postprocess
    wanted = {"alone", format, artifact.task, resize.mode, "rgb" if resize.pixels == RGB else "bands"}
    if resize.tiling is not None:
        wanted |= {"tiles", "boxes_in_tiles"} if artifact.task == "detection" else {"tiles"}
    if resize.antialias and resize.pixels != RGB:
        raise InputError(
            "This model resizes other channels than RGB with antialiasing, which no client does: leave "
            "--client out."
        )
    if resize.antialias:
        wanted.add("pillow")
    elif resize.interpolation == "bicubic":
        raise InputError(
            "This model resizes by OpenCV's bicubic interpolation, which no client has: leave --client out."
        )
    else:
        wanted.add("nearest" if resize.interpolation == "nearest" else "opencv")
    if artifact.task == "segmentation":
        wanted |= set(artifact.outputs)
    if artifact.task == "classification":
        wanted.add("softmax")
    if post is None:
        return wanted
    if artifact.has_nms:
        return wanted | {"final"}
    coder = "ssd" if isinstance(post.coder, SSDBoxCoder) else "distances"
    return wanted | {"raw", "nms", f"{post.score_function}_scores", coder}


def program(wanted: set[str], model: str) -> str:
    """The program with the sections of these names, for the model file ``model`` beside it.

    It is the modules of deploy/client, one after the other: what they import from each other lies above.
    """
    sources = [(files("pocketvision.deploy.client") / name).read_text(encoding="utf-8") for name in _PARTS]
    parts = (_kept(source, wanted | {"part"}).strip("\n") for source in sources)
    text = "\n\n\n".join(part for part in parts if part)
    text = text.replace("model.onnx", model)
    about = ast.get_docstring(ast.parse(sources[-1]), clean=False)
    return f'"""{about}"""\n\n{_imports(sources, text)}\n\n{text}\n'


def _kept(source: str, wanted: set[str]) -> str:
    """The lines within wanted sections, ``# <name>`` to ``# </name>``; ``# <one|other>`` is for either."""
    lines: list[str] = []
    around: list[set[str]] = []
    for line in source.splitlines(keepends=True):
        mark = _MARK.fullmatch(line)
        if mark is None:
            lines += [line] if around and all(names & wanted for names in around) else []
        elif mark[1]:
            around.pop()
        else:
            around.append(set(mark[2].split("|")))
    return "".join(lines)


def _imports(sources: list[str], text: str) -> str:
    """Imports of all parts together: those names that ``text`` uses, without the parts themselves."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (node for source in sources for node in ast.parse(source).body):
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(node)} if _is_used(node.names[0], text) else set()
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("pocketvision"):
            used = {alias.name for alias in node.names if _is_used(alias, text)}
            names.setdefault(node.module, set()).update(used)
    lines = [*plain, *(f"from {of} import {', '.join(sorted(names[of]))}" for of in names if names[of])]
    groups: tuple[list[str], ...] = ([], [], [])
    for line in sorted(lines, key=lambda line: (line.startswith("from"), line)):
        module = line.split()[1].partition(".")[0]
        groups[0 if module == "__future__" else 1 if module in sys.stdlib_module_names else 2].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _is_used(alias: ast.alias, text: str) -> bool:
    return alias.name == "annotations" or re.search(rf"\b{alias.asname or alias.name}\b", text) is not None
