"""Names that no two results share, and paths at which nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.new_files import check_new, free_path, unique_names


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


def test_a_free_path_has_the_next_number(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a_2.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a_3.avi").touch()
    assert free_path(path) == tmp_path / "a_3.mp4"
    assert free_path(path, also=(".avi",)) == tmp_path / "a_4.mp4"
