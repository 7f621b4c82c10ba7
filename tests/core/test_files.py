"""A half-written file never has the final name, and a new one takes the place of none that is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocketvision.core import files
from pocketvision.core.errors import InputError
from pocketvision.core.files import (
    check_new,
    free_path,
    read_json,
    replacing,
    temporary_beside,
    unique_names,
    write_json,
)


def test_the_file_appears_when_the_writer_is_done(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent and not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_writer_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError("power cut")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_writer_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_writer_that_writes_nothing_is_an_error_that_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"AP": 0.25, "none": None, "names": ["Straße", "人"]}
    write_json(tmp_path / "metrics.json", value)
    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and "人" in text and text.endswith("\n")


def test_what_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"AP": 1})
    with pytest.raises(TypeError):
        write_json(path, {"AP": object()})
    assert json.loads(path.read_text()) == {"AP": 1} and list(tmp_path.iterdir()) == [path]


def test_temporary_names_can_not_be_guessed(tmp_path: Path) -> None:
    """A link at the temporary name would have been written through."""
    names = {temporary_beside(tmp_path / "a.txt").name for _ in range(100)}
    assert len(names) == 100 and all(len(name) < 64 for name in names)
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("precious")
    (tmp_path / f".a.txt.{os.getpid()}.part").symlink_to(theirs)  # as they were called in version 0.1
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("mine")
    assert theirs.read_text() == "precious" and (tmp_path / "a.txt").read_text() == "mine"


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs.txt", tmp_path / "a.txt"
    theirs.write_text("precious")
    path.symlink_to(theirs)
    with replacing(path) as temporary:
        temporary.write_text("mine")
    assert theirs.read_text() == "precious" and path.read_text() == "mine" and not path.is_symlink()


def test_long_names_and_rights(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    old = os.umask(0o027)
    try:
        with replacing(path) as temporary:
            temporary.write_text("new")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from pocketvision.core.files import replacing\n"
        f"with replacing(Path({str(tmp_path)!r}, 'a.txt')) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode < 0
    (left,) = tmp_path.iterdir()
    ours, theirs = temporary_beside(tmp_path / "a.txt"), tmp_path / ".theirs.part"
    old = tmp_path / f".{'0' * 32}.1.part"
    for path in (ours, theirs, old):
        path.write_text("x")
    os.utime(old, (1e9, 1e9))  # of another machine, years ago
    files._tidied.clear()
    with replacing(tmp_path / "b.txt") as temporary:
        temporary.write_text("new")
    assert not left.exists() and {p.name for p in tmp_path.iterdir()} == {ours.name, theirs.name, "b.txt"}


@pytest.mark.parametrize(
    "content", [b"{", b"1" * 5000, b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"[1e999999]x"]
)
def test_json_of_any_kind_is_read_or_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json is no JSON that can be read") as error:
        read_json(path)
    assert len(str(error.value)) < 1000
    with pytest.raises(InputError, match="can't be read"):
        read_json(tmp_path)


def test_no_two_names_are_the_same() -> None:
    things = [("1", "a"), ("1", "b"), ("1", "b"), ("A", ""), ("a", ""), ("b_1", "c"), ("1_2", "d")]
    names = unique_names(things)
    assert names[:2] == ["1", "b_1"]
    assert len({name.casefold() for name in names}) == len(things)


def test_many_of_one_name_take_no_quadratic_time() -> None:
    names = unique_names([("frame", "same")] * 20_000)
    assert len(set(names)) == 20_000 and names[:3] == ["frame", "same_frame", "frame_2"]


def test_what_is_there_is_refused_links_too(tmp_path: Path) -> None:
    check_new(tmp_path / "new.json", "--json")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    for name in ("link.json", "."):
        with pytest.raises(InputError, match="exists already: choose another --json, or move it away"):
            check_new(tmp_path / name, "--json")
    with pytest.raises(InputError, match="--json - is no file: give a name"):
        check_new(Path("-"), "--json")


def test_a_free_path_has_the_next_number(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a_2.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a_3.avi").touch()
    assert free_path(path) == tmp_path / "a_3.mp4"
    assert free_path(path, also=(".avi",)) == tmp_path / "a_4.mp4"
