"""Covers datasets/readers/text.py.

Folders with pipes, loops of links and whole disks in them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers import tree as module
from pocketvision.datasets.readers.text import read_text
from pocketvision.datasets.readers.tree import FileTree, picture_files

READ = """
import sys
from pocketvision.datasets import detect_format
try:
    found = detect_format(sys.argv[1])
    for split in found.splits:
        print(split, len(found.read(split)))
except ValueError as error:
    print(error)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a/1.jpg", "a/deep/2.png", "b/3.jpg", ".hidden/4.jpg", "b/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def images_below(folder: Path) -> list[Path]:
    return FileTree(folder).images_below(folder)


def test_every_folder_is_walked_once_whatever_links_lead_there(tree: Path, tmp_path: Path) -> None:
    """An image below a loop of links was found 41 times."""
    expected = [tree / name for name in ("a/1.jpg", "a/deep/2.png", "b/3.jpg")]
    assert images_below(tree) == expected
    (tree / "a" / "deep" / "loop").symlink_to(tree)
    (tree / "b" / "self").symlink_to(tree / "b" / "self")
    (tree / "b" / "same").symlink_to(tree / "b")
    assert images_below(tree) == expected
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "5.jpg").touch()
    (tree / "c").symlink_to(elsewhere)
    assert images_below(tree) == [*expected, tree / "c" / "5.jpg"]
    assert [path for path, _ in FileTree(tree).walk()] == [
        tree,
        tree / "a",
        tree / "a" / "deep",
        tree / "b",
        tree / "c",
    ]
    assert images_below(tree / "none") == []


def test_pipes_and_sockets_are_named_and_left_out(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tree / "b" / "0.jpg")
    (tree / "b" / "linked.jpg").symlink_to(tree / "b" / "0.jpg")
    (tree / "b" / "broken.jpg").symlink_to(tree / "gone.jpg")
    with socket.socket(socket.AF_UNIX) as server, caplog.at_level(logging.WARNING, "pocketvision"):
        previous = Path.cwd()
        os.chdir(tree / "b")  # the names of sockets are short
        try:
            server.bind("9.jpg")
        finally:
            os.chdir(previous)
        assert FileTree(tree).listing(tree / "b").files == ("3.jpg", "broken.jpg", "notes.txt")
        assert len(images_below(tree)) == 4
    assert all(f"skipped: {tree / 'b' / name}" in caplog.text for name in ("0.jpg", "linked.jpg", "9.jpg"))
    with pytest.raises(InputError, match=r"0\.jpg is no file"):
        read_text(tree / "b" / "0.jpg")


@pytest.mark.parametrize("name", ["data.yaml", "annotations.csv", "instances_train.json", "train/1.jpg"])
def test_nothing_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    (tmp_path / "2.jpg").touch()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_a_disk_is_not_walked_through(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``path: /`` in a data.yaml."""
    monkeypatch.setattr(module, "_MAX_OTHERS", 50)
    monkeypatch.setattr(module, "_OTHERS_AN_IMAGE", 3)
    for i in range(56):
        (tree / "b" / f"{i}.xml").touch()
    with pytest.raises(InputError, match="name the data set's own folder"):
        images_below(tree)
    (tree / "b" / "6.jpg").touch()
    assert len(images_below(tree)) == 4


def test_arrays_are_pictures_but_for_what_a_program_keeps_of_another(tree: Path) -> None:
    for name in ("c/1.npy", "c/2.NPY", "b/3.npy", "b/other.npy"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    found = FileTree(tree)
    assert [path.name for path in found.images(tree / "c")] == ["1.npy", "2.NPY"]
    assert [path.name for path in found.images(tree / "b")] == ["3.jpg", "other.npy"]
    below = [str(path.relative_to(tree)) for path in found.images_below(tree)]
    assert below == ["a/1.jpg", "a/deep/2.png", "b/3.jpg", "b/other.npy", "c/1.npy", "c/2.NPY"]
    files = [tree / name for name in ("b/3.npy", "b/3.jpg", "c/1.npy", "b/notes.txt")]
    assert picture_files(files) == files[1:3]
