"""Covers datasets/records/kinds.py: what readers tell is counted by kind, in words for people."""

from __future__ import annotations

import json

import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets.records import notes as module
from pocketvision.datasets.records.kinds import (
    BOX_NOT_NUMBER,
    BOX_OUTSIDE,
    BOX_WITHOUT_AREA,
    KIND_OF,
    READER_KINDS,
)
from pocketvision.datasets.records.notes import Kind, Notes, as_row, from_row


def test_one_line_a_kind() -> None:
    notes = Notes()
    notes.add(BOX_WITHOUT_AREA, "a.json", "it has no area", "annotation 3")
    (one,) = notes.as_notes()
    assert str(one) == "1 box without area is left out (first: a.json, annotation 3)."
    notes.add(BOX_WITHOUT_AREA, "b.json", "it has no area")
    notes.add(BOX_OUTSIDE, "b.json", "it reaches outside")
    two, _ = notes.as_notes()
    assert str(two) == "2 boxes without area are left out (first: a.json, annotation 3)."


def test_errors_end_a_strict_reading_only() -> None:
    with pytest.raises(InputError, match=r"^a\.json has a fault\.$"):
        Notes().add(BOX_NOT_NUMBER, "a.json", "a.json has a fault.")
    notes = Notes(strict=False)
    notes.add(BOX_NOT_NUMBER, "a.json", "a.json has a fault.")
    assert notes.counts == {BOX_NOT_NUMBER: 1}


def test_of_very_many_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    notes = Notes()
    for number in range(5):
        notes.add(BOX_OUTSIDE, "a.json", "it reaches outside", f"line {number}")
    assert notes.counts[BOX_OUTSIDE] == 5 and len(notes.kept[BOX_OUTSIDE]) == 2 and notes.is_full(BOX_OUTSIDE)
    other = Notes()
    other.extend(notes.as_notes())
    assert other.as_notes() == notes.as_notes()


def test_rows_are_json() -> None:
    notes = Notes()
    notes.add(BOX_OUTSIDE, "a.json", "it reaches outside", "line 1", "a.jpg", [(1.0, 2.0, 3.0, 4.0)])
    (note,) = notes.as_notes()
    assert from_row(json.loads(json.dumps(as_row(note))), KIND_OF) == note


@pytest.mark.parametrize("kind", READER_KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_words_for_people(kind: Kind) -> None:
    assert kind.severity in ("error", "warning", "info")
    assert kind.title and kind.title[0].isupper() and not kind.title.endswith(".")
    for count in (1, 2):
        assert kind.line(count, "a.json").startswith(f"{count} ") and "  " not in kind.line(count, "a.json")


def test_names_are_unique() -> None:
    assert len(KIND_OF) == len(READER_KINDS)
