"""Covers deploy/converters/litert_script.py.

A converter that fails is one sentence; its program is handed over without pickle.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters import litert_script, process
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.converters.process import convert
from pocketvision.deploy.export.to_executorch import write_executorch
from pocketvision.deploy.export.to_litert import write_litert
from pocketvision.deploy.runtimes.described import describe
from pocketvision.models import VisionModel

SCRIPT = """
import json, pathlib, shutil, sys
request = json.loads(pathlib.Path(sys.argv[1]).read_text())
shutil.copyfile(request["program"], request["output"])
pathlib.Path(request["report"]).write_text('{"seconds": 1}')
"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> torch.export.ExportedProgram:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return torch.export.export(nn.Linear(2, 3), (torch.zeros(1, 2),))


def test_a_file_and_a_report(
    program: torch.export.ExportedProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "copies.py").write_text(SCRIPT)
    monkeypatch.setattr(process, "__file__", str(tmp_path / "room" / "process.py"))
    assert convert(program, Path(sys.executable), "copies.py", "made", tmp_path) == {"seconds": 1}
    with zipfile.ZipFile(tmp_path / "made") as archive:
        pickles = [name for name in archive.namelist() if archive.read(name)[:1] == b"\x80"]
    assert not pickles


def test_a_crash_is_one_sentence_and_its_log_is_kept(
    program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"The converter failed \(.*litert.*\), run by .*last_failure.log"):
        convert(program, Path(sys.executable), "litert_script.py", "made", tmp_path)
    log = tmp_path / "cache" / "converters" / "last_failure.log"
    assert "Traceback" in log.read_text() and not (tmp_path / "made").exists()


BEGINS = "Traceback (most recent call last):"


class Bessel(nn.Module):
    """An operator that neither LiteRT nor ExecuTorch has."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.special.i0(images.mean((2, 3))),)


@pytest.mark.slow
@pytest.mark.parametrize(("write", "suffix"), [(write_litert, ".tflite"), (write_executorch, ".pte")])
def test_an_operator_that_is_missing_is_named(
    write: Callable[..., str],
    suffix: str,
    models: dict[str, VisionModel],
    converters: Converters,
    tmp_path: Path,
) -> None:
    artifact = replace(describe(models["classification"]), input_type="float")
    with pytest.raises(InputError, match=r"The converter failed \([^()]*\baten\.i0\.default\b"):
        write(Bessel(), artifact, tmp_path / f"m{suffix}", converters)
    assert not list(tmp_path.iterdir()), "nothing half-made"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "exit code 3"),
        ("one\nout of memory\n", "out of memory"),
        (
            f"{BEGINS}\n  File a\nError: no aten.i0\n\nadvice (x)",
            "Error: no aten.i0",
        ),
        (
            f"{BEGINS}\n  File a\nSpecError: \nOperator i0 is\nA",
            "SpecError: Operator i0 is",
        ),
        (f"{BEGINS}\n  File a", "  File a"),
    ],
)
def test_the_error_is_told_and_not_the_advice_below_it(said: str, reason: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(said)
    assert f"({reason.strip()})" in str(process._failed(Path("python"), log, 3))


def test_a_python_that_is_none(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("no program")
    with pytest.raises(InputError, match=r"can't be run .*: check --converter-python"):
        convert(program, nothing, "litert_script.py", "made", tmp_path)


def test_the_converter_reaches_nobody() -> None:
    with pytest.raises(OSError, match="needs no network"):
        litert_script.refuse("host", 80)
