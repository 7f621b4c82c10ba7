"""The converters' environment: asked for, made once, and never left half-made."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.converters import environment
from pocketvision.deploy.converters.environment import PINS, Converters, converter_python, environment_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put_uv(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program called uv that is found first; it writes down how it was called."""
    folder.mkdir()
    uv = folder / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n')
    uv.chmod(uv.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


MAKES = 'for last; do :; done; [ "$1" = venv ] && mkdir -p "$last/bin" && touch "$last/bin/python"; exit 0'


def test_it_is_asked_for_with_its_size_and_content(cache: Path) -> None:
    with pytest.raises(InputError, match=r"litert-torch==.*about 7 GB in .*--yes.*--converter-python"):
        converter_python(Converters())
    assert not cache.exists()


def test_it_is_made_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_uv(tmp_path / "path", monkeypatch, MAKES)
    made = converter_python(Converters(may_install=True))
    assert made == environment_folder() / "bin" / "python" and made.is_file()
    assert converter_python(Converters()) == made, "now that it is there nobody is asked"
    calls = (tmp_path / "path" / "calls").read_text().splitlines()
    assert len(calls) == 2 and calls[0].startswith("venv") and all(pin in calls[1] for pin in PINS)
    assert [path.name for path in (cache / "converters").iterdir()] == [environment_folder().name]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_stays(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_uv(tmp_path / "path", monkeypatch, MAKES)
    environment_folder().mkdir(parents=True)  # without the mark that it is complete
    dead, living = cache / "converters" / ".99999999-a", cache / "converters" / f".{os.getpid()}-b"
    for folder in (dead, living):
        (folder / "environment").mkdir(parents=True)
    converter_python(Converters(may_install=True))
    assert not dead.exists() and living.exists()


def test_without_a_network_the_sentence_says_what_to_do_elsewhere(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_uv(tmp_path / "path", monkeypatch, 'echo "no route to host" >&2; exit 2')
    with pytest.raises(
        InputError, match=r"no route to host.*pip install litert-torch.*--converter-python PATH"
    ):
        converter_python(Converters(may_install=True))
    assert list((cache / "converters").iterdir()) == []


def test_without_uv_python_s_own_tools_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    make, install = environment._commands(tmp_path / "e")
    assert make == [sys.executable, "-m", "venv", str(tmp_path / "e")]
    assert install[1:4] == ["-m", "pip", "install"] and set(PINS) <= set(install)


def test_neither_uv_nor_pip(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"neither uv nor Python's venv with pip .*--converter-python PATH"):
        converter_python(Converters(may_install=True))
    assert list((cache / "converters").iterdir()) == []


def test_no_room(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"can't be written .*make room, set POCKETVISION_CACHE"):
        converter_python(Converters(may_install=True))


def test_a_disk_that_fills_while_packages_come_is_no_matter_of_the_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of uv and pip may be far from the last one."""
    said = f"failed to write: No space left on device (os error 28); {'x' * 400}"
    put_uv(tmp_path / "path", monkeypatch, f'[ "$1" = venv ] || {{ echo "{said}" >&2; exit 2; }}')
    with pytest.raises(
        InputError, match=r"No space left on device.*make room, set POCKETVISION_CACHE"
    ) as caught:
        converter_python(Converters(may_install=True))
    assert "network" not in str(caught.value)
    assert list((cache / "converters").iterdir()) == []


def test_a_python_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no Python .*nothing: give the file"):
        converter_python(Converters(tmp_path / "nothing"))
    assert converter_python(Converters(Path(sys.executable))) == Path(sys.executable)


def test_other_pins_are_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment_folder()
    monkeypatch.setattr(environment, "PINS", (*PINS, "more==1"))
    assert environment_folder() != before
