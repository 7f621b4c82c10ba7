"""The folders are the architecture: who may import whom, what stays light, how long files are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
MIDDLE = ("backbones", "heads", "losses", "metrics", "datasets", "models")
LAYERS = (("core",), MIDDLE, ("published", "doctor"), ("tasks", "deploy"), ("configs",), ("tools",), ("api",))
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}
MAX_LINES = 300


class Import(NamedTuple):
    """One import of our own: the folder, where, and whether it runs when the file is imported."""

    folder: str
    line: int
    at_start: bool


def folders() -> dict[str, str]:
    """Folder -> package, as installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {folder: package for package, folder in project["tool"]["setuptools"]["package-dir"].items()}


def own_imports(source: str, folder: str) -> list[Import]:
    return [
        Import(name, line, at_start)
        for module, line, at_start in _modules(ast.parse(source), folder, at_start=True)
        if (name := _folder_of(module)) is not None
    ]


def _folder_of(module: str) -> str | None:
    package, _, rest = module.partition(".")
    if package != "pocketvision":
        return None
    first = rest.partition(".")[0]
    return first if first and f"pocketvision.{first}" in folders().values() else "api"


def _modules(node: ast.AST, folder: str, at_start: bool) -> Iterator[tuple[str, int, bool]]:
    """Every module that code imports, by statement or by ``importlib.import_module``."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno, at_start) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = "pocketvision" if folder == "api" else f"pocketvision.{folder}"
        parents = package.split(".")[: max(0, 3 - node.level)] if node.level else []
        base = ".".join([*parents[: 2 - (node.level - 1)], *([node.module] if node.module else [])])
        yield from ((f"{base}.{alias.name}", node.lineno, at_start) for alias in node.names)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("import_module", "__import__", "find_spec") and node.args:
            yield _text(node.args[0]), node.lineno, at_start
    is_later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    is_later |= isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )
    for child in ast.iter_child_nodes(node):
        yield from _modules(child, folder, at_start and not is_later)


def _text(node: ast.AST) -> str:
    """A literal or the beginning of an f-string."""
    if isinstance(node, ast.JoinedStr):
        return _text(node.values[0]) if node.values else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_allowed(folder: str, found: Import) -> bool:
    if folder == found.folder:
        return folder != "api" or not found.at_start
    if folder == "api":
        return not found.at_start
    if folder == "tools":
        return found.folder == "core" or (found.folder not in ("configs", "api") and not found.at_start)
    return RANK[found.folder] < RANK[folder]


def test_the_reader_sees_every_way_to_import() -> None:
    source = """
import pocketvision.core.boxes, os
from pocketvision import heads
from pocketvision.losses import SSDLoss
from .tables import ROWS
from ..models import Detector
import importlib
def later():
    importlib.import_module("pocketvision.tasks.fit")
    importlib.import_module(f"pocketvision.tools.{name}")
    from pocketvision import __version__
if TYPE_CHECKING:
    from pocketvision.configs import a
"""
    found = own_imports(source, "backbones")
    assert [(i.folder, i.at_start) for i in found] == [
        ("core", True), ("heads", True), ("losses", True), ("backbones", True), ("models", True),
        ("tasks", False), ("tools", False), ("api", False), ("configs", False),
    ]  # fmt: skip
    assert [is_allowed("backbones", i) for i in found] == [True, False, False, True, *[False] * 5]
    assert not is_allowed("core", Import("tasks", 1, False))
    assert not is_allowed("tasks", Import("deploy", 1, True))
    assert is_allowed("tools", Import("tasks", 1, False)) and not is_allowed(
        "tools", Import("tasks", 1, True)
    )
    assert not is_allowed("tools", Import("configs", 1, False))


def test_every_folder_has_its_layer() -> None:
    assert set(folders()) <= set(RANK)
    assert all((ROOT / folder / "__init__.py").is_file() for folder in folders())
    with_code = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert with_code <= set(folders()), "a folder that is not in pyproject.toml is not installed"


@pytest.mark.parametrize("folder", RANK)
def test_imports_point_down_only(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.folder}"
        for path in sorted((ROOT / folder).glob("*.py"))
        for found in own_imports(path.read_text(encoding="utf-8"), folder)
        if not is_allowed(folder, found)
    ]
    assert not wrong, "\n".join(wrong)


def test_folders_are_flat() -> None:
    nested = [str(path.relative_to(ROOT)) for f in folders() for path in (ROOT / f).glob("*/**/*.py")]
    assert not nested


def test_files_are_short() -> None:
    ours = [path for f in (*folders(), "tests", "benchmarks") for path in (ROOT / f).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in ours}
    assert not {name: count for name, count in lines.items() if count > MAX_LINES}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )


def test_backbones_need_torch_and_core_only() -> None:
    heavy = ("lightning", "torchvision", "pycocotools", "albumentations", "timm")
    code = "import sys, pocketvision.backbones; print(*sys.modules)"
    loaded = set(run("-c", code).stdout.split())
    assert "torch" in loaded and "pocketvision.core.layers" in loaded
    assert not loaded & set(heavy)
    ours = {name.split(".")[1] for name in loaded if name.startswith("pocketvision.")}
    assert ours == {"backbones", "core"}


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (["-m", "pocketvision", "--help"], 0, "usage: pocketvision COMMAND"),
        (["-m", "pocketvision"], 0, "usage: pocketvision COMMAND"),
        (["-m", "pocketvision", "--version"], 0, "."),
        (["-m", "pocketvision", "trian"], 2, "Did you mean 'train'? Commands: train, eval"),
        (["-m", "pocketvision", "train", "--help"], 0, "usage: train"),
        (["tools/train.py", "--help"], 0, "Shipped configs: "),
        (["tools/eval.py", "--help"], 0, "usage: eval"),
        (["tools/train.py", "ssdlite_v2_coco", "--no-such-option"], 2, "unrecognized arguments"),
        (["tools/train.py", "ssdlite_v2_cocoo"], 1, "Did you mean 'ssdlite_v2_coco'?"),
        (["-m", "pocketvision", "eval", "ssdlite_v2_coco"], 1, "--weights FILE"),
    ],
)
def test_the_command_line_answers_before_torch(arguments: list[str], code: int, answer: str) -> None:
    done = run("-X", "importtime", *arguments)
    timing = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    said = done.stdout + "".join(line for line in done.stderr.splitlines(True) if line[:12] != "import time:")
    assert done.returncode == code and answer in " ".join(said.split()), said
    assert "Traceback" not in said
    imported = {line.rpartition("|")[2].strip() for line in timing}
    assert "argparse" in imported or "difflib" in imported, "the timing was read"
    assert not imported & {"torch", "lightning", "numpy", "cv2"}
