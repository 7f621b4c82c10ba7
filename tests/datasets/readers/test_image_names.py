"""Names of images as annotations state them, and the files that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.readers.image_names import ImageNames


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images/a.jpg", "images/day 1/b.PNG", "images/day2/c.png", "other/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "images/a.jpg"),
        ("A.JPG", "images/a.jpg"),
        ("/home/me/set/images/a.jpg", "images/a.jpg"),
        ("C:\\set\\images\\a.jpg", "images/a.jpg"),
        ("day%201/b.png", "images/day 1/b.PNG"),
        ("day2/c.png", "images/day2/c.png"),
        ("../x/other/c.png", "other/c.png"),
    ],
)
@pytest.mark.parametrize("folder", [None, "images"])
def test_the_end_of_a_path_says_which(root: Path, name: str, file: str, folder: str | None) -> None:
    names = ImageNames(root, None if folder is None else root / folder)
    assert names.find(name, "it") == root / file


def test_what_is_not_found_is_a_sentence(root: Path) -> None:
    names = ImageNames(root, root / "images")
    with pytest.raises(InputError, match=r"x\.json names gone\.jpg, which is not in .*images: add the image"):
        names.find("gone.jpg", "x.json")
    with pytest.raises(InputError, match=r"names c\.png, which could be .* or .*: give its folder"):
        names.find("c.png", "x.json")
    with pytest.raises(InputError, match=r"names b\.HEIC, whose format can't be read: convert"):
        names.find("b.HEIC", "x.json")
    assert ImageNames(root, root / "images").num_searched == 0
