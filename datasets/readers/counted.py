"""What a reader repaired or left out, one counted line a kind."""

from __future__ import annotations


class Counted:
    """Collects places by what was done there."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def add(self, what: str, place: str) -> None:
        """Note that ``what``, as "boxes with swapped corners were sorted", was done at ``place``."""
        self._first.setdefault(what, place)
        self._counts[what] = self._counts.get(what, 0) + 1

    def __bool__(self) -> bool:
        return bool(self._first)

    def lines(self) -> tuple[str, ...]:
        """Give sentences as "12 boxes with swapped corners were sorted (first: a.xml, object 3)"."""
        return tuple(f"{self._counts[what]} {what} (first: {place})." for what, place in self._first.items())
