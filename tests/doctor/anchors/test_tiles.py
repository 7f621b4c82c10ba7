"""Which data need tiles, and of which size."""

from __future__ import annotations

import numpy as np
import pytest

from pocketvision.doctor.anchors.reach import ImageBoxes
from pocketvision.doctor.anchors.tiles import GOOD, SMALL, suggest_tiles

LARGE = (2000, 3000)


def boxes(*sides: float, size: tuple[int, int] = LARGE, count: int = 20) -> ImageBoxes:
    """``count`` squares of each side in one picture."""
    squares = np.array([(5.0, 5.0, 5.0 + side, 5.0 + side) for side in sides for _ in range(count)])
    return ImageBoxes(squares.reshape(-1, 4), np.zeros(len(squares), np.int64), np.array([size]))


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (24, 320),  # its own pixels are enough: 24 in a tile of the input's size
        (48, 640),
        (60, 800),
        (12, 320),  # never enlarged
        (100, None),  # 13 pixels of the input
    ],
)
def test_small_objects_get_tiles_that_show_them(side: float, expected: int | None) -> None:
    advice = suggest_tiles(boxes(side), (320, 320))
    assert (advice and advice.side) == expected
    if advice is not None:
        assert advice.smallest < SMALL
        assert side * 320 / advice.side == pytest.approx(min(GOOD, side), rel=0.05)


def test_large_objects_must_fit_and_small_pictures_need_none() -> None:
    large = suggest_tiles(boxes(24, 400), (320, 320))
    assert large is not None and large.side == 608 and large.smallest == pytest.approx(3.1, abs=0.1)
    assert suggest_tiles(boxes(24, 1500), (320, 320)) is None
    assert suggest_tiles(boxes(10, size=(300, 400)), (320, 320)) is None
    assert suggest_tiles(boxes(), (320, 320)) is None
    assert suggest_tiles(boxes(40), (640, 640)).side == 1056  # type: ignore[union-attr]


def test_in_words() -> None:
    advice = suggest_tiles(boxes(24), (320, 416))
    assert advice is not None and advice.as_row()["side"] == advice.side == 416
    assert advice.reason() == (
        "a tenth of the boxes has less than 4 pixels a side where a whole picture is shown at 416x320"
    )
