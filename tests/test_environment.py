"""docs/environment.md names every environment variable that the code reads or sets, and no other of ours."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")


def variables(source: str) -> Iterator[str]:
    """Names by which code asks ``os.environ`` or ``os.getenv``; "?" where a name is no literal."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript):
            owner, names = node.value, [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, names = node.func.value, node.args[:1]
            if node.func.attr in ("getenv", "putenv"):
                owner = node.func
        elif isinstance(node, ast.Compare):
            owner, names = node.comparators[0], [node.left]
        else:
            continue
        if ast.unparse(owner) in ("os.environ", "environ", "os.getenv", "os.putenv", "getenv"):
            yield from (n.value if isinstance(n, ast.Constant) else "?" for n in names)


def used() -> set[str]:
    files = [file for package in ROOT.glob("*/__init__.py") for file in package.parent.rglob("*.py")]
    assert len(files) > 300
    return {name for file in files for name in variables(file.read_text(encoding="utf-8"))}


def test_every_way_to_ask_is_seen() -> None:
    source = """
os.environ["A"]; os.environ.get("B", 1); os.environ.setdefault("C", ""); os.getenv("D"); "E" in os.environ
os.environ["F"] = "1"; os.environ.get(name); elsewhere["G"]; "H" in found
"""
    assert sorted(variables(source)) == ["?", "A", "B", "C", "D", "E", "F"]


def test_every_variable_is_on_the_page() -> None:
    ours = PAGE.partition("## Read by the libraries")[0]
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", ours)) == used()


def test_the_readme_leads_there() -> None:
    assert "docs/environment.md" in (ROOT / "README.md").read_text(encoding="utf-8")
