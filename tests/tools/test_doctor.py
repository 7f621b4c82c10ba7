"""What the machine has is said whole, and without anything of the user's."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import sys

import pytest
import torch

from pocketvision.tools import doctor


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:24].rstrip(): line[25:] for line in lines}


def test_versions_and_threads_are_those_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    facts = said(capsys)
    assert facts["torch"] == importlib.metadata.version("torch")
    assert facts["python"].endswith(platform.python_version())
    assert facts["threads of PyTorch"] == str(torch.get_num_threads())
    assert set(doctor.PACKAGES) | set(doctor.RUNTIMES) <= set(facts)
    assert ("GPUs" in facts) == (torch.cuda.device_count() == 0)
    assert platform.node() not in facts.values() and getpass.getuser() not in facts.values()


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "RUNTIMES", ("no-such-runtime",))
    monkeypatch.setitem(sys.modules, "torch", None)
    facts = said(capsys)
    assert facts["no-such-runtime"] == "not installed" and facts["PyTorch starts"].startswith("no: ")
