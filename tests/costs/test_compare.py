"""Covers costs/published.py, costs/reference_models.py, costs/variants.py.

What papers print: met to the digit or within a percent, or marked.
"""

from __future__ import annotations

from functools import cache

import pytest

from pocketvision.costs.classifiers import CLASSIFIERS, MEMORY, SHARES_V1
from pocketvision.costs.compare import PUBLISHED, CostComparison, compare, has_printed_digits
from pocketvision.costs.detectors import DETECTORS
from pocketvision.costs.published import Published
from pocketvision.costs.segmenters import SEGMENTERS


@cache
def figures(rows: tuple[Published, ...]) -> list[CostComparison]:
    return list(compare(rows))


def test_segmentation_is_within_a_percent_of_the_papers() -> None:
    """Multiply-adds; V1's ASPP at output stride 8 is printed, not claimed."""
    found = [f for f in figures(SEGMENTERS) if f.quantity == "madds" and not f.erratum]
    assert len([f for f in found if f.source in ("V3 table 7", "V3 table 8")]) == 11 + 8
    assert len([f for f in found if f.source == "V2 table 7"]) == 5
    assert not [f for f in found if abs(f.deviation) >= 0.01]


def test_published_figures_have_the_printed_digits_or_an_erratum() -> None:
    """Of classifiers and detectors; 149.5M with 1001 classes are 150M on slim's page."""
    rows = tuple(row for row in CLASSIFIERS if row not in (*MEMORY, *SHARES_V1))
    differing = [f for f in figures((*rows, *DETECTORS)) if not (f.has_printed_digits or f.erratum)]
    assert [(f.source, f.printed) for f in differing] == [("slim mobilenet_v1.md", "150M")]


def test_shares_and_memory_are_near_or_have_an_erratum() -> None:
    found = figures((*SHARES_V1, *MEMORY))
    errata = {"1.19", "1600", "800", "400", "200", "199", "100", "62", "32"}
    assert {f.printed for f in found if f.erratum} == errata
    assert all(abs(f.deviation) <= 0.0201 or f.has_printed_digits for f in found if not f.erratum)


def test_every_erratum_marks_a_figure() -> None:
    marked = {f.erratum for f in figures(PUBLISHED)}
    assert {row.erratum for row in PUBLISHED} == marked


@pytest.mark.parametrize(
    ("printed", "value", "is_met"),
    [
        ("3.4M", 3_470_760, True),  # cut off
        ("3.5M", 3_470_760, True),  # rounded
        ("3.3M", 3_470_760, False),
        ("569M", 568_740_352, True),
        ("150M", 149_497_600, False),
        ("3504872", 3_504_872, True),
        ("3504872", 3_504_873, False),
        ("0.583B", 583_171_904, True),
        ("1.19", 1.91, False),
    ],
)
def test_printed_digits(printed: str, value: float, is_met: bool) -> None:
    assert has_printed_digits(printed, value) is is_met
