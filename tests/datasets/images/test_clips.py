"""Frames of clips: their names, runs of those that show nearly the same, and groups."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.datasets.images.clips import clip_groups, frame_name, named_groups, runs, sequences


@pytest.mark.parametrize(
    ("path", "sequence", "number"),
    [
        ("clips/a_0012.jpg", ("clips", "a_", ""), 12),
        ("clips/7.png", ("clips", "", ""), 7),
        ("c/seq2_f003_left.png", ("c", "seq2_f", "_left"), 3),
        ("c/walk-12_jpg.rf.0a1b2c3d.jpg", ("c", "walk-", ""), 12),
        ("c/walk-12_PNG.rf.9f.jpg", ("c", "walk-", ""), 12),
        ("c/dog.jpg", ("c", "dog", ""), None),
        ("aachen_000001_000019_leftImg8bit.png", (".", "aachen_000001_", "_leftImg8bit"), 19),
    ],
)
def test_names(path: str, sequence: tuple[str, str, str], number: int | None) -> None:
    assert frame_name(path) == (sequence, number)


def test_sequences_are_in_the_order_of_their_numbers() -> None:
    paths = ["a/10.jpg", "a/9.jpg", "b/1.jpg", "a/x.jpg", "a/x2.jpg", "a/08.jpg"]
    assert sequences(paths) == [[5, 1, 0], [2], [4]]


PATHS = [f"c/{name}{i:03}.jpg" for name in ("a", "b") for i in range(8)]


def test_a_clip_is_a_sequence_of_which_half_look_like_their_neighbors() -> None:
    alike = np.arange(16)
    alike[1:3], alike[5:7] = 0, 4  # 0 1 2 | 3 | 4 5 6 | 7: 4 of 7 pairs; nothing of b
    assert clip_groups(PATHS, alike).tolist() == [0] * 8 + list(range(8, 16))
    alike[6] = 6  # 3 of 7 pairs
    assert clip_groups(PATHS, alike).tolist() == alike.tolist()
    alike[6], alike[12] = 4, 0  # a frame of b shows what a's first does
    assert clip_groups(PATHS, alike).tolist() == [*[0] * 8, 8, 9, 10, 11, 0, 13, 14, 15]
    shuffled = np.random.default_rng(0).permutation(16)
    again = clip_groups(
        [PATHS[i] for i in shuffled], np.array([list(shuffled).index(alike[i]) for i in shuffled])
    )
    assert len(np.unique(again)) == 8


def test_a_single_clip_is_divided_all_the_same() -> None:
    alike = np.array([0, 0, 0, 0, 4, 4, 4, 4])
    assert clip_groups(PATHS[:8], alike).tolist() == alike.tolist()
    assert clip_groups([], np.arange(0)).tolist() == []


def test_groups_by_name() -> None:
    paths = ["x/a1.jpg", "x/a2.jpg", "x/b1.jpg", "y/a3.jpg", "x/cat.jpg"]
    assert named_groups(paths, "folder").tolist() == [0, 0, 0, 3, 0]
    assert named_groups(paths, "prefix").tolist() == [0, 0, 2, 3, 4]


def test_runs_are_of_three_and_in_a_row() -> None:
    alike = np.arange(16)
    alike[1:3], alike[5], alike[8:16] = 0, 4, 8
    alike[11] = 11
    assert runs(PATHS, alike) == [[0, 1, 2], [8, 9, 10], [12, 13, 14, 15]]
