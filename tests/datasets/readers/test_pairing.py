"""Which label or mask belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketvision.datasets.readers.pairing import pair
from pocketvision.datasets.records.kinds import PAIRED_BY_PART
from pocketvision.datasets.records.notes import Notes


@pytest.mark.parametrize(
    ("images", "others", "is_told"),
    [
        (["a.jpg", "b.jpg"], ["a.txt", "b.txt"], False),
        (["a.jpg", "b.jpg"], ["a.jpg.txt", "b.jpg.txt"], False),
        (["A.jpg", "b.JPG"], ["a.png", "B.png"], False),
        (["a.jpg", "b.jpg"], ["a_mask.png", "b_mask.png"], True),
        (["a.jpg", "b.jpg"], ["label_a.txt", "label_b.txt"], True),
        (["104_sat.jpg", "119_sat.jpg"], ["104_mask.png", "119_mask.png"], True),
    ],
)
def test_pairs(images: list[str], others: list[str], is_told: bool) -> None:
    notes = Notes()
    found = pair([Path(name) for name in images], [Path(name) for name in others], notes)
    assert {str(a): str(b) for a, b in found.items()} == dict(zip(images, others, strict=True))
    assert notes.counts == ({PAIRED_BY_PART: 2} if is_told else {})


def test_numbers_are_no_suffix_and_leftovers_stay() -> None:
    images = [Path("a1.jpg"), Path("a12.jpg"), Path("c.jpg")]
    found = pair(images, [Path("a1.txt"), Path("a123.txt"), Path("d.txt")], Notes())
    assert found == {Path("a1.jpg"): Path("a1.txt")}
