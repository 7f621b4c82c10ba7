"""A Python of its own for converters that pin another PyTorch: made once, kept in the user's cache."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvision.core.errors import InputError
from pocketvision.core.files import process_lives

logger = logging.getLogger("pocketvision")

PINS = (
    "litert-torch==0.10.0",
    "ai-edge-litert==2.3.0",
    "ai-edge-quantizer==0.10.0",
    "executorch==1.5.1",
    "coremltools==9.0",
    "torch==2.14.1",
    "torchvision==0.29.2",
)
"""What was tried together; docs/exports.md says with which results."""
GIGABYTES = 7
_DONE = "complete.json"
_MAX_REASON = 300


@dataclass(frozen=True)
class Converters:
    """Which Python converts.

    ``python`` is one that the user made; without it an environment in the cache is used, and made if
    ``may_install``, which needs the network.
    """

    python: Path | None = None
    may_install: bool = False


def known_converters() -> Converters:
    """Those of this machine: of $POCKETVISION_CONVERTER_PYTHON, or the cache's."""
    given = os.environ.get("POCKETVISION_CONVERTER_PYTHON")
    return Converters(Path(given) if given else None)


def converter_python(converters: Converters) -> Path:
    """The Python that has the converters' packages.

    Raises:
        InputError: the Python given is none, the environment may not be made or can't be.
    """
    if converters.python is not None:
        if not converters.python.is_file():
            raise InputError(f"There is no Python {converters.python}: give the file, as env/bin/python.")
        return converters.python
    folder = environment_folder()
    if not (folder / _DONE).is_file():
        if not converters.may_install:
            raise InputError(
                f"The converter needs another PyTorch, in an environment of its own: {', '.join(PINS)} and "
                f"what they need, about {GIGABYTES} GB in {folder}. Let 'pocketvision export' make it, once, "
                "with --yes, or give it a Python that has them with --converter-python PATH."
            )
        _make(folder)
    return _python_of(folder)


def environment_folder() -> Path:
    """Where the environment lies, named by what is in it: in $POCKETVISION_CACHE or ~/.cache/pocketvision."""
    root = Path(os.environ.get("POCKETVISION_CACHE") or "~/.cache/pocketvision").expanduser()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(json.dumps([version, *PINS]).encode()).hexdigest()[:12]
    return root / "converters" / f"python{version}-{digest}"


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(folder: Path) -> None:
    """Make the environment under another name and move it: what is there under its own is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{os.getpid()}-") as work:
            part = Path(work) / "environment"
            what = ", ".join(PINS)
            logger.info("making an environment with %s, once: about %d GB in %s", what, GIGABYTES, folder)
            for command in _commands(part):
                _run(command)
            (part / _DONE).write_text(json.dumps(PINS), encoding="utf-8")
            if not (folder / _DONE).is_file():
                shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    except OSError as error:
        if not (folder / _DONE).is_file():  # another process may have been faster
            raise InputError(
                f"{folder} can't be written ({error}): make room, set POCKETVISION_CACHE to another disk, or "
                "use --converter-python PATH."
            ) from error


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left half-made."""
    for left in folder.glob(".*-*"):
        process = left.name[1:].partition("-")[0]
        if process.isdecimal() and not process_lives(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _commands(folder: Path) -> list[list[str]]:
    """What makes it: uv where it is, else Python's own venv and pip.

    Raises:
        InputError: there is neither.
    """
    python, uv = str(_python_of(folder)), shutil.which("uv")
    if uv is not None:
        install = [uv, "pip", "install", "--python", python, *PINS]
        return [[uv, "venv", "--quiet", "--python", sys.executable, str(folder)], install]
    if importlib.util.find_spec("ensurepip") is None:  # Debian has it in a package of its own
        raise InputError(
            "There is neither uv nor Python's venv with pip to make an environment for the converters: "
            "install uv (https://docs.astral.sh/uv) or Debian's python3-venv, or use --converter-python PATH."
        )
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", *PINS]
    return [[sys.executable, "-m", "venv", str(folder)], install]


def _run(command: Sequence[str]) -> None:
    """Run an installer and pass on what it says.

    Raises:
        OSError: the disk is full.
        InputError: it fails for another reason.
    """
    said = [""]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.strip())
            logger.info("%s", line.rstrip())
    if process.returncode:
        whole = " ".join(" ".join(said).split())
        if os.strerror(errno.ENOSPC) in whole:  # uv and pip say it in the system's words
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reason = whole[-_MAX_REASON:] or f"exit code {process.returncode}"
        raise InputError(
            f"The environment for the converters can't be made ({reason}): where there is a network, make "
            f"one with pip install {' '.join(PINS)}, bring it here, and give --converter-python PATH."
        )
