"""Covers deploy/converters/litert_script.py.

A converter that fails is one sentence; its program is handed over without pickle.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters import litert_script, process
from pocketvision.deploy.converters.process import convert

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


def test_a_python_that_is_none(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("no program")
    with pytest.raises(InputError, match=r"can't be run .*: check --converter-python"):
        convert(program, nothing, "litert_script.py", "made", tmp_path)


def test_the_converter_reaches_nobody() -> None:
    with pytest.raises(OSError, match="needs no network"):
        litert_script.refuse("host", 80)
