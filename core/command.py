"""What the command line needs before torch is imported: configs by name, and errors as one sentence."""

from __future__ import annotations

import difflib
import importlib.util
import logging
import os
import select
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

from pocketvision.core.errors import InputError, StoppedError, StopSignal
from pocketvision.core.memory import describe_shortage
from pocketvision.core.processes import describe_lost_process, sigterm_raises
from pocketvision.core.terminal import SafeFormatter, printable

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
CONFIG_PREFIX = "pocketvision_config_"
"""Of the names that modules of configs have."""

_STDOUT = 1
_PIPE_CLOSED = 141
"""As a shell has it: 128 and SIGPIPE's number."""

Main = Callable[[Sequence[str] | None], None]


def command(main: Main) -> Callable[..., int]:
    """Turn a tool's ``main(argv)`` into one that returns an exit code and reports bad input in a sentence."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        _log_to_terminal()
        try:
            with sigterm_raises():
                main(argv)
                sys.stdout.flush()
        except InputError as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            return 1
        except StoppedError as stop:
            if str(stop):
                print(printable(stop), file=sys.stderr)
            return stop.code
        except OSError as error:
            return _report_os_error(error)
        except (RuntimeError, MemoryError) as error:
            sentence = describe_lost_process(error) or describe_shortage(error)
            if sentence is None:
                raise
            print(f"error: {sentence}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except StopSignal as stop:
            print("stopped by a signal", file=sys.stderr)
            return stop.code
        return 0

    return run


def _report_os_error(error: OSError) -> int:
    """Say what is wrong and return the exit code; a reader that has seen enough, as head, is fine."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # for what Python flushes as it ends
        return _PIPE_CLOSED
    place = f"{printable(error.filename)}: " if error.filename else ""
    text = f"error: {place}{error.strerror or error}: check the path, its rights and the space."
    print(text, file=sys.stderr)
    return 1


def _nobody_reads() -> bool:
    """Whether the other end of standard output's pipe is closed."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(_STDOUT, select.POLLERR)
    return bool(poll.poll(0))


class _TerminalHandler(logging.Handler):
    """Writes to the stderr of the moment: a notebook or a test replaces it between two commands."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr)
        except (OSError, ValueError):  # closed
            self.handleError(record)


def _log_to_terminal() -> None:
    logger = logging.getLogger("pocketvision")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = _TerminalHandler()
        handler.setFormatter(SafeFormatter())
        logger.addHandler(handler)


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
    folder = path.resolve().parent
    before = set(sys.modules)
    is_shipped = folder == CONFIGS
    name = f"{CONFIG_PREFIX}{path.stem}"
    loader = None if is_shipped else _OwnLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if is_shipped:
        spec.loader.exec_module(module)
        return module, []
    finders = _without_bytecode(folder)
    _forget_finders(folder)
    sys.path.insert(0, str(folder))
    sys.path_hooks.insert(0, finders)
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # the user's code may raise anything
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"{path}{line} can't be run: {type(error).__name__}: {error}.") from error
    finally:
        sys.path_hooks.remove(finders)
        sys.path.remove(str(folder))
        _forget_finders(folder)
    own = [name for name in sys.modules.keys() - before if _is_own(name, folder)]
    files = sorted({Path(str(sys.modules[name].__file__)).resolve() for name in own})
    for name in own:  # else the next config would get this folder's file of the same name
        del sys.modules[name]
    return module, files


class _OwnLoader(SourceFileLoader):
    """Of a user's files: a run folder is to hold nothing but what a training put there."""

    def exec_module(self, module: ModuleType) -> None:
        """A dataclass looks up in sys.modules what its annotations name, and a config is no import."""
        is_config = module.__name__ not in sys.modules
        sys.modules.setdefault(module.__name__, module)
        try:
            super().exec_module(module)
        finally:
            if is_config:
                sys.modules.pop(module.__name__, None)

    def _cache_bytecode(self, source_path: str, bytecode_path: str, data: Any) -> None:
        """Keep nothing."""


def _without_bytecode(folder: Path) -> Callable[[str], FileFinder]:
    """A hook of ``sys.path_hooks`` for what is imported from ``folder``."""

    def finder(place: str) -> FileFinder:
        if not _is_below(place, folder):
            raise ImportError(place)
        return FileFinder(place, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_OwnLoader, SOURCE_SUFFIXES))

    return finder


def _forget_finders(folder: Path) -> None:
    for place in [place for place in sys.path_importer_cache if _is_below(place, folder)]:
        del sys.path_importer_cache[place]


def _is_below(place: str, folder: Path) -> bool:
    path = Path(place).resolve()
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _is_own(name: str, folder: Path) -> bool:
    """Whether an imported module is the user's own file under ``folder``, not an installed package's."""
    file = getattr(sys.modules[name], "__file__", None)
    if file is None or name.partition(".")[0] == "pocketvision":
        return False
    return _is_below(file, folder)
