"""Numbers and flags as files write them, as such or as text; and texts for sentences."""

from __future__ import annotations

from typing import Any


def as_number(value: Any) -> float | None:
    """A number, also as text; NaN and infinity too; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def as_flag(value: Any) -> bool:
    """Whether ``iscrowd`` says yes: 1, true, and the same as text."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "0.0", "false", "no", "none", "null")
    return bool(value)


def short_text(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= 120 else f"{text[:117]}..."
