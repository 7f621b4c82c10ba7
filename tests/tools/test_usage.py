"""Covers api/__main__.py: what a command says of itself."""

from __future__ import annotations

import importlib

import pytest

from pocketvision.__main__ import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--no-such-option"], 2)])
def test_the_usage_line_is_what_one_types(
    name: str, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = importlib.import_module(f"pocketvision.tools.{name.replace('-', '_')}")
    with pytest.raises(SystemExit) as stop:
        tool.main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == code
    assert (said.err if code else said.out).startswith(f"usage: pocketvision {name} ")
