"""A finding, and the list that findings go into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pocketvision.datasets.records.notes import MAX_KEPT, Kind, Note, Severity
from pocketvision.doctor.kinds import KINDS

FoundBox = tuple[float, float, float, float]
"""xyxy pixels."""


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
    boxes: tuple[FoundBox, ...] = ()

    def as_row(self) -> dict[str, Any]:
        """What the JSON report holds."""
        row = asdict(self)
        return {name: row[name] for name in ("kind", "severity", "file", "where", "sentence", "fixable")}


@dataclass
class Findings:
    """Findings in the order in which they were met; all are counted, the first of each kind are kept."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Finding]] = field(default_factory=dict)

    def add(
        self,
        kind: Kind,
        file: object,
        sentence: str,
        where: str = "",
        image: object = None,
        boxes: Sequence[FoundBox] = (),
        other: object = None,
    ) -> None:
        """Note a finding."""
        self.counts[kind.name] += 1
        shown = tuple(str(path) for path in (image, other) if path is not None)
        self._keep(kind, str(file), where, sentence, shown, tuple(boxes))

    def extend(self, notes: Iterable[Note]) -> None:
        """Take over what a reader told."""
        for note in notes:
            self.counts[note.kind.name] += note.count
            for place in note.places:
                self._keep(note.kind, *place)

    def by_severity(self, severity: Severity) -> list[str]:
        """Kinds of a severity that were found, in the order of ``KINDS``."""
        return [name for name, kind in KINDS.items() if kind.severity == severity and self.counts[name]]

    def num(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(self.counts[kind] for kind in self.by_severity(severity))

    def in_order(self) -> list[Finding]:
        """All that were kept: errors first, then by kind."""
        kinds = [kind for severity in ("error", "warning", "info") for kind in self.by_severity(severity)]
        return [finding for kind in kinds for finding in self.kept.get(kind, ())]

    def _keep(
        self,
        kind: Kind,
        file: str,
        where: str,
        sentence: str,
        images: tuple[str, ...],
        boxes: tuple[FoundBox, ...],
    ) -> None:
        of_kind = self.kept.setdefault(kind.name, [])
        if len(of_kind) < MAX_KEPT:
            known = KINDS[kind.name]
            fixable = bool(known.fix)
            of_kind.append(Finding(kind.name, known.severity, file, where, sentence, fixable, images, boxes))
