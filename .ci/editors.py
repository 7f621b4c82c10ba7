"""Whether editors find the package: pyright and jedi resolve each of its own imports, editable and installed.

Both installs are made in environments of their own, without the packages that ours needs, which take pyright
most of its time. Run it in the environment of ``uv sync``. Exits with 1 and names what was not resolved.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
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


def by_pyright(python: Path, files: list[Path]) -> list[str]:
    """Modules and names of ours that pyright does not find, with ``python``'s packages."""
    problems = []
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    if answer["summary"]["filesAnalyzed"] < len(files):
        problems.append(f"pyright read {answer['summary']['filesAnalyzed']} files of {len(files)}")
    for found in answer["generalDiagnostics"]:
        is_missing = found.get("rule") == "reportMissingImports" and f'"{NAME}' in found["message"]
        if is_missing or "is unknown import symbol" in found["message"]:
            problems.append(f"{found['file']}:{found['range']['start']['line'] + 1}: {found['message']}")
    return problems


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


def install(what: list[str], folder: Path) -> Path:
    """The interpreter of a new environment in ``folder`` where ``what`` is all that is installed."""
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = folder / Path(sys.executable).relative_to(sys.prefix)
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, "--no-deps", *what], check=True)
    return python


def sources() -> list[Path]:
    """The package's files, by their places in the checkout."""
    folders = [link.resolve() for link in (ROOT / "src" / NAME).iterdir()]
    return sorted(
        file
        for path in folders
        for file in (path.rglob("*.py") if path.is_dir() else [path])
        if file.suffix == ".py"
    )


def main() -> int:
    """Check the checkout and the wheel."""
    here = sources()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        subprocess.run(["uv", "build", "--quiet", "--out-dir", folder, str(ROOT)], check=True)
        wheel = next(made.glob("*.whl"))
        pythons = [install(["--editable", str(ROOT)], made / "a"), install([str(wheel)], made / "b")]
        (package,) = made.glob(f"b/**/site-packages/{NAME}")
        packed = sorted(package.rglob("*.py"))
        problems = [] if len(packed) == len(here) else [f"the wheel has {len(packed)} files of {len(here)}"]
        with ThreadPoolExecutor() as pool:  # pyright works in processes, jedi here
            problems += chain(*pool.map(by_pyright, pythons, [here, packed]))
        problems += chain(by_jedi(pythons[0], here), by_jedi(pythons[1], packed))
    print(*problems, f"{len(problems)} imports that editors can't resolve", sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
