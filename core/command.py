"""What the command line needs before torch is imported: configs by name, and errors as one sentence."""

from __future__ import annotations

import difflib
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import ModuleType

from pocketvision.core.errors import InputError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

Main = Callable[[Sequence[str] | None], None]


def command(main: Main) -> Callable[..., int]:
    """Turn a tool's ``main(argv)`` into one that returns an exit code and reports bad input in a sentence."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        logger = logging.getLogger("pocketvision")
        logger.setLevel(logging.INFO)
        if not logger.handlers:
            logger.addHandler(logging.StreamHandler())
        try:
            main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 0

    return run


def shipped_configs() -> dict[str, Path]:
    """Name -> file of every config in the package."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*.py")) if path.stem != "__init__"}


def find_config(name: str) -> Path:
    """A path to a config file, or the name of a shipped config -> its path.

    Raises:
        InputError: there is no such file or name; lists the shipped ones and the nearest.
    """
    path = Path(name)
    if path.suffix == ".py" and path.is_file():
        return path
    shipped = shipped_configs()
    if path.stem in shipped and path.parent in (Path(), Path("configs")):
        return shipped[path.stem]
    near = difflib.get_close_matches(path.stem, shipped, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise InputError(f"There is no config '{name}'. {hint}Shipped configs: {', '.join(shipped)}.")


def load_config(path: Path) -> tuple[ModuleType, list[Path]]:
    """Run a config file.

    Returns:
        Its module, and every file outside the package that it imported from its own folder.

    Raises:
        InputError: the file can't be run.
    """
    before = set(sys.modules)
    folder = path.resolve().parent
    spec = importlib.util.spec_from_file_location(f"pocketvision_config_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    is_shipped = folder == CONFIGS
    if not is_shipped:
        sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, AttributeError, NameError, TypeError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"{path}{line} can't be run: {type(error).__name__}: {error}.") from error
    finally:
        if not is_shipped:
            sys.path.remove(str(folder))
    files = (getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before)
    own = sorted(
        {Path(file).resolve() for file in files if file and Path(file).resolve().is_relative_to(folder)}
    )
    return module, [] if is_shipped else own
