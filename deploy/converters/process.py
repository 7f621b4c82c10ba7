"""A converter in a process of its own: files in, a file and a report out."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram, save

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters.environment import environment_folder

logger = logging.getLogger("pocketvision")
_SECONDS_BETWEEN_LINES = 15
_MAX_REASON = 300
_TRACEBACK = "Traceback (most recent call last):"


def convert(
    program: ExportedProgram,
    python: Path,
    script: str,
    name: str,
    folder: Path,
    request: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Let ``python`` run ``script`` of this room on ``program``; returns its report.

    It writes the file ``name`` into ``folder``; ``request`` is what it is asked besides. No pickle is passed:
    a program without example inputs is tensors and a graph.

    Raises:
        InputError: the converter fails; its output is kept, and the sentence says where.
    """
    program.example_inputs = None
    with tempfile.TemporaryDirectory(dir=folder) as work:
        path = Path(work) / "program.pt2"
        save(program, path)
        return run_script(python, script, {**(request or {}), "program": str(path)}, folder / name)


def _say_seconds(seconds: float) -> None:
    logger.info("converting: %.0f s", seconds)


def run_script(
    python: Path,
    script: str,
    request: Mapping[str, Any],
    output: Path,
    waiting: Callable[[float], None] = _say_seconds,
) -> dict[str, Any]:
    """Let ``python`` run ``script`` of this room, which writes ``output`` of what the request names.

    ``waiting`` hears now and then for how many seconds it has run.

    Raises:
        InputError: it fails; what it said is kept, and the sentence says where.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as work:
        report, asked, log = (Path(work) / name for name in ("report.json", "request.json", "log"))
        paths = {"output": str(output), "report": str(report)}
        asked.write_text(json.dumps({**request, **paths}), encoding="utf-8")
        code = _run([str(python), str(Path(__file__).with_name(script)), str(asked)], log, waiting)
        if code or not output.is_file():
            raise _failed(python, log, code)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found


def _run(command: list[str], log: Path, waiting: Callable[[float], None]) -> int:
    """Run a command into a log; returns its exit code."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    start = time.perf_counter()
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        except OSError as error:
            reason = f"The converter's Python {command[0]} can't be run ({error})"
            raise InputError(f"{reason}: check --converter-python.") from error
        try:
            while True:
                try:
                    return process.wait(_SECONDS_BETWEEN_LINES)
                except subprocess.TimeoutExpired:
                    waiting(time.perf_counter() - start)
        finally:
            process.kill()
            process.wait()


def _reason(said: str) -> str:
    """What a converter failed of: the error below its last traceback, or else its last line."""
    _, is_there, traceback = said.rpartition(_TRACEBACK)
    lines = [line.rstrip() for line in traceback.splitlines() if line.strip()]
    if not is_there:
        return lines[-1][:_MAX_REASON].strip() if lines else ""
    error = [index for index, line in enumerate(lines) if not line[0].isspace()][:1]
    named = lines[error[0] :] if error else lines[-1:]
    # An error of no words but in the lines below its name says what it is in the first of them.
    reason = " ".join(named[:2]) if named and named[0].endswith(":") else "".join(named[:1])
    return reason[:_MAX_REASON].strip()


def _failed(python: Path, log: Path, code: int) -> InputError:
    kept = environment_folder().parent / "last_failure.log"
    reason = _reason(log.read_text(encoding="utf-8", errors="replace")) or f"exit code {code}"
    sentence = f"The converter failed ({reason}), run by {python}"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, kept)
    except OSError:
        return InputError(f"{sentence}: make {kept.parent} writable to see its whole output.")
    return InputError(f"{sentence}: its whole output is in {kept}.")
