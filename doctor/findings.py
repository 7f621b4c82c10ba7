"""A finding, and the list that findings go into."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pocketvision.datasets.records.notes import NotedBox, Notes, Severity
from pocketvision.doctor.kinds import KINDS


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a data set.

    Attributes:
        kind: a key of ``KINDS``.
        severity: "error" (training refuses it or learns something false), "warning" or "info".
        file: the culprit.
        where: the place in it: annotation id, line or object number; may be empty.
        sentence: what is wrong and what to do.
        fixable: whether ``--fix`` does something about it.
        images: one image that shows it, or two to be compared; none if there is nothing to see.
        boxes: boxes to draw on the first.
    """

    kind: str
    severity: Severity
    file: str
    where: str
    sentence: str
    fixable: bool
    images: tuple[str, ...] = ()
    boxes: tuple[NotedBox, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """What the JSON report holds."""
        row = asdict(self)
        return {name: row[name] for name in ("kind", "severity", "file", "where", "sentence", "fixable")}


@dataclass
class Findings:
    """What readers told and what only a doctor looks for, all in ``notes``, as a report shows it."""

    notes: Notes = field(default_factory=partial(Notes, strict=False))

    @property
    def counts(self) -> Counter[str]:
        """Kind -> how often it was found."""
        return Counter({kind.name: count for kind, count in self.notes.counts.items()})

    @property
    def kept(self) -> dict[str, list[Finding]]:
        """Kind -> the findings that were kept, in the order in which they were met."""
        return {
            kind.name: [
                Finding(kind.name, kind.severity, *place[:3], bool(kind.fix), *place[3:]) for place in places
            ]
            for kind, places in self.notes.kept.items()
        }

    def by_severity(self, severity: Severity) -> list[str]:
        """Kinds of a severity that were found, in the order of ``KINDS``."""
        return [
            kind.name for kind in KINDS.values() if kind.severity == severity and kind in self.notes.counts
        ]

    def num(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(count for kind, count in self.notes.counts.items() if kind.severity == severity)

    def in_order(self) -> list[Finding]:
        """All that were kept: errors first, then by kind."""
        kinds = [kind for severity in ("error", "warning", "info") for kind in self.by_severity(severity)]
        kept = self.kept
        return [finding for kind in kinds for finding in kept.get(kind, ())]
