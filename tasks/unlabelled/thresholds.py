"""From which score on a teacher's box is a label, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocketvision.metrics.coco_matching import Matches

PRECISION = 0.8
"""Of boxes that are taken for labels, at IoU 0.5 on validation pictures."""

MIN_BOXES = 5
"""Of a class on validation pictures, and found among them, for a precision to say something."""

FREQUENCY_SHARE = 0.5
"""Of the boxes of a class that as many labeled pictures have: what is taken where precision says nothing."""

OPEN_SHARE = 1.5
"""Of the same: labels and boxes that are left open together."""

_HALF = np.uint64(1)
"""The bit of IoU 0.5 and boxes of any area."""

ClassScores = npt.NDArray[np.float64]


class LabelThresholds(NamedTuple):
    """Boxes of a class with a score of ``sure`` or more are labels; from ``unsure`` on they are left open.

    Both are infinite where there are none.

    ``rule`` says in words how that came about.
    """

    sure: float
    unsure: float
    rule: str


def label_thresholds(
    matches: Matches, class_names: tuple[str, ...], scores: Mapping[str, ClassScores],
    expected: Mapping[str, float], precision: float = PRECISION,
) -> dict[str, LabelThresholds]:  # fmt: skip
    """Thresholds for the classes that ``scores`` has, each the scores (M,) of boxes on unlabeled pictures.

    ``matches`` are of validation pictures, their classes ``class_names``. ``expected`` says how many boxes of
    a class the unlabeled pictures have if they are like the labeled ones (after arXiv:2206.06608, sec. 4.1).
    They stand in for a class that has hardly any box on validation pictures, and say for all which boxes are
    left open. A class that never reaches the precision gets no labels.
    """
    result = {}
    for name, own in scores.items():
        known = class_names.index(name) if name in class_names else -1
        sure, rule = precise_threshold(matches, known, precision), f"precision {precision:g} on validation"
        if known < 0 or matches.num_truth[known, 0] < MIN_BOXES:
            sure, rule = nth_score(own, FREQUENCY_SHARE * expected.get(name, 0.0)), "frequency of its labels"
        open_from = nth_score(own, OPEN_SHARE * expected.get(name, 0.0))
        result[name] = LabelThresholds(sure, min(sure, open_from), rule)
    return result


def precise_threshold(matches: Matches, category: int, precision: float) -> float:
    """The lowest score from which on so many of a class's boxes are right; infinite where few are found."""
    own = matches.categories == category
    scores = matches.scores[own]
    hits = np.cumsum(matches.hits[own] & _HALF).astype(np.int64)
    counted = np.cumsum(matches.counted[own] & _HALF).astype(np.int64)
    # A threshold takes all boxes of its score or none.
    is_end = np.diff(scores, append=-np.inf) != 0
    good = np.flatnonzero(is_end & (hits >= MIN_BOXES) & (hits >= precision * counted))
    return float(scores[good[-1]]) if len(good) else float("inf")


def nth_score(scores: ClassScores, number: float) -> float:
    """The score that ``number`` of ``scores`` (M,) reach; above all of them where that is none."""
    count = min(round(number), len(scores))
    return float(np.sort(scores)[-count]) if count else float("inf")
