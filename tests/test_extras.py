"""What an extra installs is all that its commands import: run with every other package out of sight.

The packages are derived from pyproject.toml and from what the installed ones require in turn.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
HIDE = """
import sys
hidden = set({hidden!r})
for i, finder in enumerate(sys.meta_path):
    class Without:
        def __init__(self, finder):
            self.finder = finder
        def find_spec(self, name, path=None, target=None):
            return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)
        def __getattr__(self, name):
            return getattr(self.finder, name)
    sys.meta_path[i] = Without(finder)
"""
RUN = str(ROOT / "tests" / "runs" / "version_0_1" / "quickstart")
IMAGE = str(ROOT / "docs" / "quickstart_predictions.png")
EXPORT = """
from pocketvision.tools.export import main as export
from pocketvision.tools.predict import main as predict
output = {folder!r} + "/model" + {suffix!r}
assert export([{run!r}, "--format", {format!r}, "--output", output, *{options!r}]) == 0
assert predict([output, {image!r}, "--output", {folder!r} + "/found", "--threshold", "0.9"]) == 0
"""
WEB = """
from unittest import mock
from pocketvision.deploy.export import onnxruntime_web, to_web
from pocketvision.tools.export import main as export
with mock.patch.object(onnxruntime_web.shutil, "which", return_value=None):
    assert onnxruntime_web._npm()[0] == {python!r}, "npm comes with the extra"
files = lambda folder: [__import__("pathlib").Path({run!r}, "weights.safetensors")]
with mock.patch.object(to_web, "onnxruntime_web_files", files):
    assert export([{run!r}, "--web", {folder!r} + "/page"]) == 0
"""
EVERYTHING = """
import importlib, pkgutil, pocketvision
for module in pkgutil.walk_packages(pocketvision.__path__, "pocketvision."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def stated(name: str) -> list[str]:
    """The requirements of a list in pyproject.toml: of "dependencies" or an extra."""
    found = re.search(rf"^{name} = \[(.*?)\]$", PROJECT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return re.findall(r'"([^"]+)"', found[1])


def installed_by(extra: str | None) -> set[str]:
    """Names of the packages that ``pip install pocketvision[extra]`` brings here."""
    names = stated("dependencies") + ([] if extra is None else stated(extra))
    todo, seen = [Requirement(name) for name in names], set()
    while todo:
        wanted = todo.pop()
        for part in ("", *wanted.extras):
            key = (canonicalize_name(wanted.name), part)
            if key in seen:
                continue
            seen.add(key)
            if wanted.name == "pocketvision":
                todo += map(Requirement, stated(part) if part else [])
                continue
            try:
                requirements = metadata.requires(wanted.name) or []
            except metadata.PackageNotFoundError:
                continue
            needed = map(Requirement, requirements)
            todo += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": part})]
    return {name for name, _ in seen}


def run_with(extra: str | None, code: str) -> None:
    """Run ``code`` where only what the extra brings can be imported."""
    kept = installed_by(extra) | {"pocketvision"}
    hidden = [
        module
        for module, packages in metadata.packages_distributions().items()
        if module not in sys.stdlib_module_names
        and not kept & {canonicalize_name(package) for package in packages}
    ]
    assert "pytest" in hidden and "torch" not in hidden
    done = subprocess.run(
        [sys.executable, "-c", HIDE.format(hidden=hidden) + code],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_extras_everything_is_imported_and_a_program_of_torch_exported(tmp_path: Path) -> None:
    code = EXPORT.format(folder=str(tmp_path), suffix=".pt2", format="pt2", run=RUN, image=IMAGE, options=[])
    run_with(None, EVERYTHING + code)


def test_ncnn_is_written_and_run_with_its_extra(tmp_path: Path) -> None:
    pytest.importorskip("pnnx", reason="an extra of its own")
    code = EXPORT.format(
        folder=str(tmp_path), suffix=".param", format="ncnn", run=RUN, image=IMAGE, options=[]
    )
    run_with("ncnn", code)


@pytest.mark.parametrize(
    ("extra", "format", "suffix"), [("export", "onnx", ".onnx"), ("openvino", "openvino", ".xml")]
)
def test_an_extra_brings_what_its_format_needs(extra: str, format: str, suffix: str, tmp_path: Path) -> None:
    code = EXPORT.format(
        folder=str(tmp_path), suffix=suffix, format=format, run=RUN, image=IMAGE,
        options=["--nms", "--int8", "--calibration", str(ROOT / "docs")],
    )  # fmt: skip
    run_with(extra, code)


def test_the_page_is_written_with_its_extra(tmp_path: Path) -> None:
    """onnx was missing, which was said after a download of 33 MB."""
    run_with("web", WEB.format(run=RUN, folder=str(tmp_path), python=sys.executable))
