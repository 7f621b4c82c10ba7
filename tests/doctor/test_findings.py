"""Covers doctor/kinds.py.

Findings: all are counted, the first are kept, errors come first.
"""

from __future__ import annotations

import json

import pytest

from pocketvision.datasets.records import notes as module
from pocketvision.doctor.findings import Findings
from pocketvision.doctor.kinds import KINDS


def test_all_are_counted_and_the_first_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    findings = Findings()
    for number in range(5):
        sentence, where = f"sentence {number}", f"line {number}"
        findings.notes.add(KINDS["image_rotated"], "a.jpg", sentence, where, image="a.jpg")
    findings.notes.add(KINDS["image_missing"], "b.jpg", "it is missing", image="b.jpg", other="c.jpg")
    assert findings.counts["image_rotated"] == 5 and len(findings.kept["image_rotated"]) == 2
    assert (findings.num("error"), findings.num("warning"), findings.num("info")) == (1, 5, 0)
    assert [finding.sentence for finding in findings.in_order()] == [
        "it is missing",
        "sentence 0",
        "sentence 1",
    ]
    assert findings.in_order()[0].images == ("b.jpg", "c.jpg")


def test_a_row_is_json() -> None:
    findings = Findings()
    findings.notes.add(KINDS["image_missing"], "b.jpg", "it is missing", boxes=[(0.0, 1.0, 2.0, 3.0)])
    row = json.loads(json.dumps(findings.in_order()[0].as_row()))
    assert row == {
        "kind": "image_missing", "severity": "error", "file": "b.jpg", "where": "",
        "sentence": "it is missing", "fixable": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_words_for_people(name: str) -> None:
    kind = KINDS[name]
    assert kind.severity in ("error", "warning", "info")
    assert kind.title and kind.title[0].isupper() and not kind.title.endswith(".")
