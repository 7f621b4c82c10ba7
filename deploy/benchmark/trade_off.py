"""A sweep as a table, as CSV and JSON, and the net that fits a time."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvision.core.files import replacing, write_json
from pocketvision.costs.tables import aligned, readable
from pocketvision.deploy.benchmark.latency import Measurement
from pocketvision.deploy.benchmark.nets import SweptNet, value_text
from pocketvision.deploy.benchmark.scores import ScoredRun, mean_score

TABLE, RECORDS, PICTURE = "sweep.csv", "sweep.json", "sweep.png"


@dataclass(frozen=True)
class TradeOff:
    """A net of a sweep, how long it takes in one setting, and the runs that have trained it."""

    net: SweptNet
    measured: Measurement
    runs: Sequence[ScoredRun] = ()

    @property
    def score(self) -> float | None:
        """The mean of its runs; None without one."""
        return mean_score(self.runs)

    @property
    def setting(self) -> str:
        """Where and how it was timed."""
        row = self.measured
        return f"{row.backend}, threads {row.threads}, batch {row.batch_size}"


def joined(
    nets: Sequence[SweptNet], rows: Sequence[Measurement], runs: Sequence[Sequence[ScoredRun]]
) -> list[TradeOff]:
    """Every net in every setting, setting by setting; ``rows`` have the nets' names."""
    by_name = {net.name: (net, own) for net, own in zip(nets, runs, strict=True)}
    found = [TradeOff(by_name[row.name][0], row, by_name[row.name][1]) for row in rows]
    settings = list(dict.fromkeys(row.setting for row in found))
    return sorted(found, key=lambda row: settings.index(row.setting))


def metric_of(rows: Sequence[TradeOff]) -> str | None:
    """The name of the score; None where no net has one."""
    return next((run.metric for row in rows for run in row.runs), None)


def sweep_table(rows: Sequence[TradeOff]) -> str:
    """A line a net and setting; a dash stands for a score that no run has."""
    keys, metric = list(rows[0].net.arguments), metric_of(rows)
    head = [
        "config", *keys, "backend", "threads", "batch", "parameters", "multiply-adds", "median ms", "p90 ms"
    ]  # fmt: skip
    lines = [
        [
            row.net.config, *map(value_text, row.net.arguments.values()), row.measured.backend,
            str(row.measured.threads), str(row.measured.batch_size), readable(row.net.params),
            readable(row.net.madds), f"{row.measured.median * 1e3:.1f}", f"{row.measured.p90 * 1e3:.1f}",
            *([] if metric is None else ["-" if row.score is None else f"{row.score:.4f}"]),
        ]
        for row in rows
    ]  # fmt: skip
    return "\n".join(aligned([head + ([] if metric is None else [metric]), *lines], left=1))


def write_sweep(folder: Path, rows: Sequence[TradeOff]) -> None:
    """Write every number, in seconds and bytes."""
    records = [_record(row) for row in rows]
    split = next((run.split for row in rows for run in row.runs), None)
    write_json(folder / RECORDS, {"metric": metric_of(rows), "split": split, "nets": records})
    with replacing(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows({**record, "runs": " ".join(record["runs"])} for record in records)


def _record(row: TradeOff) -> dict[str, Any]:
    own, height, width = row.measured, *row.measured.image_size
    return {
        "config": row.net.config, **_plain(row.net.arguments), "height": height, "width": width,
        "backend": own.backend, "threads": own.threads, "batch_size": own.batch_size,
        "params": row.net.params, "madds": row.net.madds, "median": own.median, "p90": own.p90,
        "cold_start": own.cold_start, "num_bytes": own.num_bytes, "score": row.score,
        "runs": [str(run.folder) for run in row.runs],
    }  # fmt: skip


def _plain(arguments: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Numbers as they are, all else as it is typed."""
    return {
        key: value if isinstance(value, int | float) else value_text(value)
        for key, value in arguments.items()
    }


def fitting(rows: Sequence[TradeOff], budget: float) -> str:
    """The best net whose median stays below ``budget`` seconds, in its fastest setting.

    It is the one with the highest score; where no net that fits has one, with the most multiply-adds.
    """
    fits = [row for row in rows if row.measured.median <= budget]
    if not fits:
        return f"nothing fits {budget * 1e3:g} ms: sweep smaller values"
    best = max(fits, key=lambda row: (row.score or 0.0, row.net.madds, -row.measured.median))
    score = "" if best.score is None else f", {metric_of(rows)} {best.score:.4f}"
    milliseconds = f"{best.measured.median * 1e3:.1f} ms"
    return f"fits {budget * 1e3:g} ms: {best.net.name} ({best.setting}), {milliseconds}{score}"
