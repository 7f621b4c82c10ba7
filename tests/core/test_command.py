"""Configs by name, errors as one sentence, exit codes."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pocketvision.core.command import CONFIGS, command, find_config, load_config, shipped_configs
from pocketvision.core.errors import InputError


def test_shipped_configs_are_the_files_of_the_folder() -> None:
    shipped = shipped_configs()
    assert "ssdlite_v3_large_coco" in shipped and "__init__" not in shipped
    assert list(shipped) == sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
    assert all(path.is_file() for path in shipped.values())


@pytest.mark.parametrize("name", ["{}", "{}.py", "configs/{}", "configs/{}.py"])
def test_a_shipped_config_has_four_spellings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name.format("ssdlite_v2_coco")) == CONFIGS / "ssdlite_v2_coco.py"


def test_a_path_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "ssdlite_v2_coco.py"
    mine.write_text("config = 1")
    assert find_config(str(mine)) == mine
    monkeypatch.chdir(tmp_path)
    assert find_config("ssdlite_v2_coco.py").resolve() == mine


@pytest.mark.parametrize("name", ["ssdlite_v3_large_cocoo", "configs/ssdlite_v3_larg_coco.py"])
def test_an_unknown_config_lists_the_shipped_and_the_nearest(name: str) -> None:
    with pytest.raises(
        InputError, match=r"Did you mean 'ssdlite_v3_large_coco'\? Shipped configs: "
    ) as error:
        find_config(name)
    assert f"'{name}'" in str(error.value)
    assert all(shipped in str(error.value) for shipped in shipped_configs())


@pytest.mark.parametrize("name", ["", ".", "elsewhere/ssdlite_v2_coco", "qqqq", "__init__"])
def test_what_is_no_config(name: str) -> None:
    with pytest.raises(InputError, match="There is no config"):
        find_config(name)


def test_a_command_returns_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> None:
        """What it does."""
        if argv == ["bad"]:
            raise InputError("images/3.jpg can't be read: remove it.")
        if argv == ["stop"]:
            raise KeyboardInterrupt
        if argv == ["bug"]:
            raise ZeroDivisionError

    assert main(["fine"]) == 0 and main() == 0
    assert capsys.readouterr() == ("", "")
    assert main(["bad"]) == 1
    assert capsys.readouterr() == ("", "error: images/3.jpg can't be read: remove it.\n")
    assert main(["stop"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(ZeroDivisionError):
        main(["bug"])
    assert (main.__name__, main.__doc__) == ("main", "What it does.")


def test_loading_a_shipped_config_needs_no_files_beside_the_package() -> None:
    module, files = load_config(CONFIGS / "ssdlite_v3_small_coco.py")
    assert module.config.model.keywords == {"image_size": (320, 320)} and files == []


def write_pair(folder: Path, value: int) -> Path:
    folder.mkdir()
    (folder / "pv_test_base.py").write_text(f"value = {value}\n")
    path = folder / "mine.py"
    path.write_text("from pv_test_base import value\n\nconfig = value\n")
    return path


def test_own_files_that_a_config_imports_are_returned_every_time(tmp_path: Path) -> None:
    path = write_pair(tmp_path / "a", 1)
    for _ in range(2):
        module, files = load_config(path)
        assert module.config == 1
        assert [file.name for file in files if file != path.resolve()] == ["pv_test_base.py"]


def test_two_folders_with_files_of_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    assert load_config(write_pair(tmp_path / "b", 2))[0].config == 2
    assert load_config(write_pair(tmp_path / "c", 3))[0].config == 3


def test_no_bytecode_is_left_beside_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    load_config(write_pair(tmp_path / "a", 1))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".py"}
    assert not sys.dont_write_bytecode


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\ny = (", r"broken.py, line 2 can't be run: SyntaxError"),
        ("import pv_no_such_module", r"ModuleNotFoundError: No module named 'pv_no_such_module'"),
        ("from pocketvision.core.config import Experimentt", "ImportError: cannot import name"),
        ("color", "NameError: name 'color' is not defined"),
        ("from pocketvision.core.config import Experiment\nExperiment(modle=1)", "TypeError: .*modle"),
    ],
)
def test_a_broken_config_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_config(path)


def test_packages_beside_a_config_leave_no_bytecode_either(tmp_path: Path) -> None:
    before = sys.dont_write_bytecode, list(sys.path), len(sys.path_hooks)
    (tmp_path / "own" / "pv_test_package").mkdir(parents=True)
    (tmp_path / "own" / "pv_test_package" / "__init__.py").write_text("value = 7\n")
    config = tmp_path / "own" / "mine.py"
    config.write_text("from pv_test_package import value\n\nconfig = value\n")
    assert load_config(config)[0].config == 7
    assert not list(tmp_path.rglob("*.pyc"))
    assert (sys.dont_write_bytecode, list(sys.path), len(sys.path_hooks)) == before


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_is_not_there_is_a_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> None:
        raise error

    assert main([]) == 1
    assert capsys.readouterr().err == (
        "error: There is not enough memory for this: take smaller images or batches.\n"
    )


def test_other_errors_of_a_library_are_not_hidden() -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        main([])


def test_a_reader_that_has_seen_enough() -> None:
    """``pocketvision cost ... | head`` ends without a word."""
    program = (
        "import sys; from pocketvision.core.command import command\n"
        "sys.exit(command(lambda argv: [print('line') for _ in range(100_000)])([]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_pipe_that_breaks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: Sequence[str] | None = None) -> None:
        raise BrokenPipeError(32, "Broken pipe")  # as of a worker that was killed

    assert command(main)([]) == 1
    assert capsys.readouterr().err.startswith("error: Broken pipe")


def test_a_config_may_hold_a_dataclass_whose_annotations_are_text(tmp_path: Path) -> None:
    """They are looked up in sys.modules, where a config was not."""
    file = tmp_path / "mine.py"
    lines = [
        "from __future__ import annotations",
        "from dataclasses import dataclass",
        "@dataclass(frozen=True)",
    ]
    file.write_text("\n".join([*lines, "class Part:", "    value: int = 1", "config = Part(2)", ""]))
    module, files = load_config(file)
    assert module.config.value == 2 and not files and module.__name__ not in sys.modules


def test_a_log_line_goes_to_the_stderr_of_the_moment() -> None:
    """A notebook replaces it between two commands; the first one's was kept."""

    @command
    def main(argv: Sequence[str] | None = None) -> None:
        logging.getLogger("pocketvision.test").info("line of %s", argv)

    written = [io.StringIO(), io.StringIO()]
    for index, stream in enumerate(written):
        with contextlib.redirect_stderr(stream):
            main([str(index)])
    assert [stream.getvalue() for stream in written] == ["line of ['0']\n", "line of ['1']\n"]
