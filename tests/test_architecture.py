"""Folders are the architecture: who may import whom, what a room holds, what stays light."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
MIDDLE = ("backbones", "heads", "losses", "metrics", "datasets", "models")
LAYERS = (
    ("core",), MIDDLE, ("published", "doctor", "costs"), ("runs",), ("evaluation",), ("tasks", "deploy"),
    ("configs",), ("tools",), ("api",),
)  # fmt: skip
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}
MAX_LINES = 300
MAX_MODULES = 26
MAX_CONFIGS = 40
"""Of which a reader opens one: they are a list, not the parts of a thing."""


class Import(NamedTuple):
    """One import of our own: the module, where, and whether it runs when the file is imported."""

    module: str
    line: int
    at_start: bool

    @property
    def folder(self) -> str:
        """The top-level folder that it is in."""
        first = self.module.split(".")[1:2]
        return first[0] if first and first[0] in RANK else "api"


@cache
def modules() -> dict[str, Path]:
    """Every module that is installed, by its full name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    setuptools = project["tool"]["setuptools"]
    found = {}
    for package in setuptools["packages"]:
        first, *rest = package.split(".")[1:] or [""]
        folder = setuptools["package-dir"][f"{package.split('.')[0]}.{first}".rstrip(".")]
        for path in ROOT.joinpath(folder, *rest).glob("*.py"):
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found


def imports_of(name: str) -> list[Import]:
    path = modules()[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    return own_imports(path.read_text(encoding="utf-8"), package)


def own_imports(source: str, package: str) -> list[Import]:
    """The modules of ours that code imports, by statement or by ``importlib.import_module``."""
    return [
        Import(_longest_module(module), line, at_start)
        for module, line, at_start in _imported(ast.parse(source), package, at_start=True)
        if module.partition(".")[0] == "pocketvision"
    ]


def _longest_module(name: str) -> str:
    """``pocketvision.heads.SSDLiteHead`` -> ``pocketvision.heads``; unknown modules stay as they are."""
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 1, -1))
    return next((prefix for prefix in prefixes if prefix in modules()), name)


def _imported(node: ast.AST, package: str, at_start: bool) -> Iterator[tuple[str, int, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno, at_start) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
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
        yield from _imported(child, package, at_start and not is_later)


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
from .mobilenet import MobileNet
from ..models import Detector
import importlib
def later():
    importlib.import_module("pocketvision.tasks.fit")
    importlib.import_module(f"pocketvision.tools.{name}")
    from pocketvision import __version__
if TYPE_CHECKING:
    from pocketvision.configs import quickstart
"""
    found = own_imports(source, "pocketvision.backbones")
    assert [(i.folder, i.at_start) for i in found] == [
        ("core", True), ("heads", True), ("losses", True), ("backbones", True), ("models", True),
        ("tasks", False), ("tools", False), ("api", False), ("configs", False),
    ]  # fmt: skip
    assert found[3].module == "pocketvision.backbones.mobilenet"
    assert [is_allowed("backbones", i) for i in found] == [True, False, False, True, *[False] * 5]
    tasks = "pocketvision.tasks"
    assert not is_allowed("core", Import(tasks, 1, False))
    assert not is_allowed("tasks", Import("pocketvision.deploy", 1, True))
    assert not is_allowed("runs", Import("pocketvision.evaluation", 1, False))
    assert is_allowed("tools", Import(tasks, 1, False)) and not is_allowed("tools", Import(tasks, 1, True))
    assert not is_allowed("tools", Import("pocketvision.configs", 1, False))


def test_every_folder_has_its_layer_and_is_installed() -> None:
    top = {Import(name, 1, True).folder for name in modules()}
    assert top == set(RANK)
    with_code = {path.parent for path in ROOT.glob("*/**/__init__.py") if ".venv" not in path.parts}
    installed = {path.parent for path in modules().values()}
    assert {folder for folder in with_code if folder.relative_to(ROOT).parts[0] in RANK} <= installed


@pytest.mark.parametrize("folder", RANK)
def test_imports_point_down_only(folder: str) -> None:
    wrong = [
        f"{modules()[name].relative_to(ROOT)}:{found.line} imports {found.module}"
        for name in sorted(modules())
        if Import(name, 1, True).folder == folder
        for found in imports_of(name)
        if not is_allowed(folder, found)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_import_each_other_in_no_circle() -> None:
    graph = {name: {found.module for found in imports_of(name)} - {name} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these files import each other: {' -> '.join(error.args[1])}")


def test_rooms_are_one_level_deep_and_of_a_size() -> None:
    rooms = Counter(path.parent.relative_to(ROOT) for path in modules().values() if path.stem != "__init__")
    assert not [str(room) for room in rooms if len(room.parts) > 2]
    limits = {Path("configs"): MAX_CONFIGS}
    assert not {str(room): n for room, n in rooms.items() if n > limits.get(room, MAX_MODULES)}
    loose = [
        str(path.relative_to(ROOT))
        for folder in RANK
        for path in (ROOT / folder).rglob("*.py")
        if path not in modules().values() and not (folder == "runs" and path.parent.parent != ROOT)
    ]
    assert not loose, "not in a package that pyproject.toml lists"


def test_no_file_repeats_the_name_of_its_room() -> None:
    def forms(room: str) -> set[str]:
        return {room, room.removesuffix("s")}

    repeated = [
        str(path.relative_to(ROOT))
        for path in modules().values()
        if forms(path.parent.name) & set(path.stem.split("_"))
    ]
    assert not repeated


def test_a_public_name_means_one_thing() -> None:
    """Classes and type aliases: a second one of a name is found by search, and taken for the first."""
    places = defaultdict(list)
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if (public := _defined_type(node)) is not None:
                places[public].append(name)
    assert not {public: names for public, names in places.items() if len(names) > 1}


def _defined_type(node: ast.stmt) -> str | None:
    """The name of a public class, or of an alias in CamelCase."""
    if isinstance(node, ast.ClassDef):
        name = node.name
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
    else:
        return None
    return name if name[0].isupper() and not name.isupper() else None


def test_files_are_short() -> None:
    others = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    ours = [*modules().values(), *others]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in ours}
    assert not {name: count for name, count in lines.items() if count > MAX_LINES}


def test_functions_are_short() -> None:
    """As they were before folders had rooms, or shorter."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules().values()]
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values()]
    assert sum(length > 40 for length in lengths) < 14
    assert median(lengths) <= 8 and median(files) <= 99


def test_lightning_is_imported_in_tasks_only() -> None:
    importing = {
        Import(name, 1, True).folder
        for name, path in modules().items()
        for module, _, at_start in _imported(ast.parse(path.read_text(encoding="utf-8")), name, at_start=True)
        if module.partition(".")[0] == "lightning" and at_start
    }
    assert importing == {"tasks"}
