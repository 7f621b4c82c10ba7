"""Whether editors find the package: pyright and jedi resolve each of its imports, here and as installed.

Run it in the environment of ``uv sync``. It builds a wheel, too, and reads that in an environment of its own,
without the packages that ours needs. Exits with 1 and names what was not resolved.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jedi

ROOT = Path(__file__).resolve().parent.parent
NAME = "pocketvision"


class Name(NamedTuple):
    """Where an imported name or module stands."""

    file: Path
    line: int
    column: int


def by_pyright(python: Path, files: list[Path], foreign_too: bool) -> Iterator[str]:
    """Modules and names that pyright does not find, with ``python``'s packages."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    if answer["summary"]["filesAnalyzed"] < len(files):
        yield f"pyright read {answer['summary']['filesAnalyzed']} files of {len(files)}"
    for found in answer["generalDiagnostics"]:
        is_ours = f'"{NAME}' in found["message"] or foreign_too
        is_missing = found.get("rule") == "reportMissingImports" and is_ours
        if is_missing or "is unknown import symbol" in found["message"]:
            yield f"pyright: {found['file']}:{found['range']['start']['line'] + 1}: {found['message']}"


def by_jedi(python: Path, files: list[Path]) -> Iterator[str]:
    """Modules that jedi does not find, with ``python``'s packages and no settings; each is asked for once."""
    environment = jedi.create_environment(str(python.parent.parent), safe=False)
    for module, place in own_modules(files).items():
        script = jedi.Script(path=place.file, environment=environment)
        if not script.goto(place.line, place.column, follow_imports=True):
            yield f"jedi: {place.file}:{place.line}: {module}"


def own_modules(files: list[Path]) -> dict[str, Name]:
    """Each module of ours that is imported -> the place of the last part of its name."""
    found: dict[str, Name] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == NAME:
                column = node.col_offset + len(f"from {node.module}") - 1
                found.setdefault(str(node.module), Name(file, node.lineno, column))
    return found


def installed(folder: Path) -> tuple[Path, list[Path]]:
    """The interpreter and the files of a new environment in ``folder`` that holds the wheel alone."""
    for command in (
        ["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)],
        ["uv", "venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
    ):
        subprocess.run(command, check=True)
    python = folder / "venv" / Path(sys.executable).relative_to(sys.prefix)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, "--no-deps", wheel], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    return python, sorted((Path(packages) / NAME).rglob("*.py"))


def main() -> int:
    """Check the checkout, then the wheel."""
    links = ROOT / "src" / NAME
    sources = sorted(file for link in links.iterdir() for file in _python_files(link.resolve()))
    problems = [*by_pyright(Path(sys.executable), sources, foreign_too=True)]
    problems += by_jedi(Path(sys.executable), sources)
    with tempfile.TemporaryDirectory() as folder:
        python, files = installed(Path(folder))
        if len(files) != len(sources):
            problems.append(f"the wheel holds {len(files)} files of {len(sources)}")
        problems += by_pyright(python, files, foreign_too=False)
        problems += by_jedi(python, files)
    print(*problems, f"{len(sources)} files, {len(problems)} imports that editors can't resolve", sep="\n")
    return int(bool(problems))


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] * (path.suffix == ".py")


if __name__ == "__main__":
    sys.exit(main())
