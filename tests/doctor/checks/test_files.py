"""File names in the doctor's eyes, with the separators of this system and of Windows."""

from __future__ import annotations

import ntpath
import os
from pathlib import Path, PureWindowsPath

import pytest

from pocketvision.doctor.checks.files import check_names
from pocketvision.doctor.findings import Findings


def kinds_of(paths: list[str], root: Path | PureWindowsPath) -> set[str]:
    findings = Findings()
    check_names(paths, root, findings)  # type: ignore[arg-type]
    return set(findings.counts)


def test_one_name_in_two_folders_and_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    here = kinds_of(["/my data/a/1.jpg", "/my data/b/1.jpg"], Path("/my data"))
    assert here == {"same_name"}, "the folder of the data is not theirs to change"
    with monkeypatch.context() as windows:
        windows.setattr(os, "path", ntpath)
        windows.setattr(os, "sep", "\\")
        there = kinds_of([r"C:\my data\a\1.jpg", r"C:\my data\b\1.jpg"], PureWindowsPath(r"C:\my data"))
    assert there == here
    assert "path_characters" in kinds_of(["/data/a b.jpg"], Path("/data"))
