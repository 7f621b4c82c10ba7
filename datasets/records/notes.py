"""What a reader tells of a data set: each thing that it repaired, left out or can't use, counted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pocketvision.core.errors import InputError

Severity = Literal["error", "warning", "info"]

NotedBox = tuple[float, float, float, float]
"""xyxy pixels."""

MAX_KEPT = 1000
"""Places of a kind that are kept; the others are only counted."""


@dataclass(frozen=True)
class Kind:
    """A kind of thing that can be told.

    Attributes:
        name: for programs, such as ``box_swapped``.
        severity: "error" where training refuses the data, "warning" where it goes on with less or with a
            guess, "info" where nothing is lost.
        title: for the doctor's report.
        told: the rest of the counted line, as it goes on after a number above one: ``boxes have ...``.
        fix: what ``--fix`` does about it; empty where it leaves things as they are.
    """

    name: str
    severity: Severity
    title: str
    told: str = ""
    fix: str = ""

    def line(self, count: int, first: str) -> str:
        """Such as ``12 boxes without area are left out (first: FILE, object 3).``."""
        told = self.told or f"entries: {self.title}"
        is_plural = count != 1 or told.startswith("of ")
        return f"{count} {told if is_plural else _singular(told)} (first: {first})."


class Place(NamedTuple):
    """Where a thing was met.

    Attributes:
        file: the culprit.
        where: the place in it: annotation id, line or object number; may be empty.
        sentence: what is wrong and what to do.
        images: one image that shows it, or two to be compared; none if there is nothing to see.
        boxes: boxes to draw on the first.
    """

    file: str
    where: str
    sentence: str
    images: tuple[str, ...] = ()
    boxes: tuple[NotedBox, ...] = ()


@dataclass(frozen=True)
class Note:
    """How often a kind was met, and the first places."""

    kind: Kind
    count: int
    places: tuple[Place, ...]

    def __str__(self) -> str:
        first = self.places[0]
        return self.kind.line(self.count, f"{first.file}, {first.where}" if first.where else first.file)


@dataclass
class Notes:
    """Collects what a reader tells, in the order in which it is met.

    Attributes:
        strict: whether an error is raised, as training needs it, or noted, as the doctor does.
        read: the files that a reader has read, but for images: what else lies there is told by
            :func:`pocketvision.datasets.formats.leftover.tell_leftover`.
    """

    strict: bool = True
    counts: dict[Kind, int] = field(default_factory=dict)
    kept: dict[Kind, list[Place]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def add(
        self,
        kind: Kind,
        file: object,
        sentence: str,
        where: str = "",
        image: object = None,
        boxes: Sequence[NotedBox] = (),
        other: object = None,
    ) -> None:
        """Tell one thing.

        Raises:
            InputError: ``sentence``, if this is strict and the kind an error.
        """
        if self.strict and kind.severity == "error":
            raise InputError(sentence)
        self.count(kind)
        places = self.kept.setdefault(kind, [])
        if len(places) < MAX_KEPT:
            shown = tuple(str(path) for path in (image, other) if path is not None)
            places.append(Place(str(file), where, sentence, shown, tuple(boxes)))

    def count(self, kind: Kind, number: int = 1) -> None:
        """Count things of a kind whose places are not kept."""
        self.counts[kind] = self.counts.get(kind, 0) + number

    def is_full(self, kind: Kind) -> bool:
        """Whether further places of a kind are only counted."""
        return len(self.kept.get(kind, ())) >= MAX_KEPT

    def extend(self, notes: Iterable[Note]) -> None:
        """Take over what another reader told."""
        for note in notes:
            self.count(note.kind, note.count)
            places = self.kept.setdefault(note.kind, [])
            places += note.places[: MAX_KEPT - len(places)]

    def as_notes(self) -> tuple[Note, ...]:
        """One note a kind."""
        return tuple(Note(kind, count, tuple(self.kept[kind])) for kind, count in self.counts.items())


def note(kind: Kind, count: int, file: object, sentence: str, where: str = "") -> Note:
    """A note of things whose first place alone is of interest."""
    return Note(kind, count, (Place(str(file), where, sentence),))


def as_row(note: Note) -> dict[str, Any]:
    """A note as JSON; the kind by its name."""
    return {"kind": note.kind.name, "count": note.count, "places": [list(place) for place in note.places]}


def from_row(row: dict[str, Any], kinds: dict[str, Kind]) -> Note:
    """The note that :func:`as_row` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is of another version.
    """
    places = (
        Place(file, where, sentence, tuple(images), tuple(tuple(box) for box in boxes))
        for file, where, sentence, images, boxes in row["places"]
    )
    return Note(kinds[row["kind"]], int(row["count"]), tuple(places))


_SINGULAR = {
    "boxes": "box", "images": "image", "files": "file", "masks": "mask", "annotations": "annotation",
    "objects": "object", "classes": "class", "pictures": "picture", "lines": "line", "rows": "row",
    "parts": "part", "are": "is", "have": "has", "were": "was", "their": "its", "names": "name",
    "state": "states", "reach": "reaches", "stand": "stands", "belong": "belongs", "outlines": "outline",
    "count": "counts",
    "polygons": "polygon", "they": "it", "them": "it", "entries": "entry", "share": "shares",
    "numbers": "number", "folders": "folder", "splits": "split", "categories": "category", "labels": "label",
}  # fmt: skip


def _singular(told: str) -> str:
    """``boxes have no area and are left out`` -> ``box has no area and is left out``."""
    what, colon, names = told.partition(":")
    return " ".join(_SINGULAR.get(word, word) for word in what.split(" ")) + colon + names
