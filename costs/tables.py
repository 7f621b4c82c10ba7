"""Costs as text: columns for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pocketvision.costs.dense_detectors import DENSE_DETECTORS
from pocketvision.costs.published import CONVENTIONS

if TYPE_CHECKING:
    from pocketvision.costs.compare import CostComparison
    from pocketvision.costs.splitting import ChosenSplit

_MEGABYTE = 1e6
_BITS = (32, 16, 8)


def readable(count: float) -> str:
    """3504872 -> "3.50M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.4g}{unit}" if count / size >= 100 else f"{count / size:.2f}{unit}"
    return str(count)


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of equal width: the first ``left`` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def dense_table() -> str:
    """Published dense detectors, none of which is built here."""
    rows = [
        (row.source, row.model, "x".join(map(str, row.image_size)), f"{row.params}M", f"{row.flops}G",
         readable(row.madds), row.ap)
        for row in DENSE_DETECTORS
    ]  # fmt: skip
    head = ("source", "model", "input", "params", "published FLOPs", "multiply-adds", "AP")
    note = "Others' dense detectors, to compare gfl_* with: two of their FLOPs are one multiply-add here."
    return "\n".join([*aligned([head, *rows], left=3), "", note])


def paper_table(found: Sequence[CostComparison]) -> str:
    """Published figures beside ours, with a legend of how they are counted."""
    errata = list(dict.fromkeys(row.erratum for row in found if row.erratum))
    conventions = list(dict.fromkeys(row.convention for row in found))
    rows = [
        (
            row.source,
            row.model,
            row.quantity,
            "" if row.convention == "plain" else row.convention,
            row.printed,
            f"{row.ours:,.0f}" if row.ours >= 1000 else f"{row.ours:.2f}",
            f"{100 * row.deviation:+.2f} %",
            "=" if row.has_printed_digits else "",
            f"[{errata.index(row.erratum) + 1}]" if row.erratum else "",
        )
        for row in found
    ]
    head = ("source", "model", "quantity", "counted", "published", "ours", "deviation", "", "")
    notes = [f"[{number}] {text}" for number, text in enumerate(errata, start=1)]
    legend = [f"{name}: {CONVENTIONS[name]}" for name in conventions if name != "plain"]
    equal = "=: ours, rounded or with further digits cut off, is what is printed"
    return "\n".join([*aligned([head, *rows], left=4), "", equal, *notes, *legend])


def split_table(chosen: ChosenSplit) -> str:
    """Peaks of live activations part by part, whole and split, and what it costs."""
    plan = chosen.plan
    rows = [
        (
            part,
            str(plan.num_groups) if part in plan.blocks else "",
            *_megabytes(peak),
            *_megabytes(plan.after[part]),
        )
        for part, peak in plan.before.items()
    ]
    total = ("peak", "", *_megabytes(plan.peak_before), *_megabytes(plan.peak_after))
    head = (
        "MB of activations",
        "groups",
        *(f"{bits} bit" for bits in _BITS),
        *(f"split {bits}" for bits in _BITS),
    )
    return "\n".join([*aligned([head, *rows, total], left=1), "", *_split_summary(chosen)])


def _megabytes(peak: int) -> list[str]:
    return [f"{peak * bits / 32 / _MEGABYTE:.2f}" for bits in _BITS]


def _split_summary(chosen: ChosenSplit) -> list[str]:
    plan = chosen.plan
    timed = [f"{number} groups {100 * loss:+.0f} %" for number, loss in chosen.time_loss.items()]
    lines = (
        [f"time in PyTorch on this machine, one thread, beside the whole model: {', '.join(timed)}"]
        if timed
        else []
    )
    if not plan.blocks:
        return [*lines, "no block is split: its largest parts are others, or splitting would take too long"]
    saved = 1 - plan.peak_after / plan.peak_before
    lines.append(
        f"blocks in {plan.num_groups} groups: {len(plan.blocks)}. The peak falls by {100 * saved:.0f} %, for "
        f"{plan.extra_madds:,} more multiply-adds"
    )
    return lines
