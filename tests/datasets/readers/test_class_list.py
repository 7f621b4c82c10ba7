"""The order of class names: the list beside the data, or the alphabet."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.class_list import ordered_names, read_names
from pocketvision.datasets.readers.tree import FileTree


def test_without_a_list_names_are_sorted(tmp_path: Path) -> None:
    assert ordered_names(FileTree(tmp_path), ["owl", "cat", "owl"]) == ("cat", "owl")


@pytest.mark.parametrize(
    ("file", "text"),
    [("classes.txt", "\ufeffowl\n\n cat \nfish, raw\n"), ("classes.csv", 'owl,0\ncat,1\n"fish, raw",2\n')],
)
def test_a_list_orders_and_may_hold_more(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert ordered_names(FileTree(tmp_path), ["cat"]) == ("owl", "cat", "fish, raw")


def test_a_list_that_lacks_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("owl\n")
    with pytest.raises(InputError, match=r"classes\.txt has no class 'cat', but annotations have"):
        ordered_names(FileTree(tmp_path), ["owl", "cat"])


@pytest.mark.parametrize("text", ["", "\n \n", "owl\ncat\nowl\n"])
def test_a_list_has_each_name_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(InputError, match=r"names\.txt must have one name a line, each once"):
        read_names(tmp_path / "names.txt")
