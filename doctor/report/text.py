"""The report in a terminal."""

from __future__ import annotations

from pocketvision.core.resize import Tiling
from pocketvision.core.terminal import printable
from pocketvision.doctor.anchors.points import PointReport
from pocketvision.doctor.anchors.reach import Ceiling
from pocketvision.doctor.anchors.summary import AnchorReport
from pocketvision.doctor.anchors.tiles import TileAdvice
from pocketvision.doctor.checks.detail import MaskTileAdvice
from pocketvision.doctor.kinds import KINDS
from pocketvision.doctor.report.examination import Report

_EXAMPLES = 2
_MAX_CLASSES = 12


def report_text(report: Report) -> str:
    """What was looked at, the kinds of findings with examples, classes, anchors."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items()) or "none"
    boxes = f", {report.num_boxes} boxes" if report.task == "detection" else ""
    lines = [
        f"{report.root}: {report.format}, {report.task}",
        f"{report.num_images} images{boxes}; splits: {splits}; looked at in {report.seconds:.1f} s",
        *([] if report.pixels.line is None else [f"pictures: {report.pixels.line}"]),
        *([] if report.resize is None else [report.resize.line()]),
        *_classes(report),
        *_findings(report),
        *([] if report.anchors is None else _anchors(report.anchors)),
        *([] if report.points is None else _points(report.points)),
        *([] if report.tiles is None else _tiles(report.tiles)),
        "",
        f"{report.summary()}.",
    ]
    return "\n".join(map(printable, lines))


def _classes(report: Report) -> list[str]:
    counts = report.total_counts.most_common()
    if not counts:
        return []
    shown = ", ".join(f"{name} {count}" for name, count in counts[:_MAX_CLASSES])
    more = f", ... ({len(counts)} classes)" if len(counts) > _MAX_CLASSES else ""
    return [f"{report.unit} by class: {shown}{more}"]


def _findings(report: Report) -> list[str]:
    lines = []
    for severity in ("error", "warning", "info"):
        for kind in report.findings.by_severity(severity):
            about, found = KINDS[kind], report.findings.kept[kind]
            fix = f" (--fix: {about.fix})" if about.fix else ""
            lines += ["", f"{severity.upper()}  {about.title}: {report.findings.counts[kind]}{fix}"]
            examples = 1 if severity == "info" else _EXAMPLES
            lines += [f"    {finding.sentence}" for finding in found[:examples]]
    return lines


def _anchors(report: AnchorReport) -> list[str]:
    lines = ["", f"Anchors at {_size(report.image_size)}, boxes to train on:"]
    for row in report.matched:
        lines.append(
            f"    {row.name}: {row.num_unmatched} of {row.num_boxes} boxes "
            f"({row.num_unmatched / row.num_boxes:.1%}) overlap no anchor by 0.5, "
            f"{row.num_lost} lose their only anchor to another box"
        )
    lines += ["", "Recall ceiling at IoU 0.5:", "    anchors      input     all    small  medium large"]
    lines += [
        f"    {name:<12} {_size(size):<9} {_shares(reached)}" for name, size, reached in report.ceilings
    ]
    for suggestion in report.suggestions:
        strides = ", ".join(map(str, suggestion.layout.strides))
        lines += [
            "",
            f"Suggested at {_size(suggestion.image_size)}, maps of stride {strides}: ceiling "
            f"{_shares(suggestion.ceiling)}",
            f"    anchors={suggestion.layout.anchors!r}",
        ]
    return lines


def _points(report: PointReport) -> list[str]:
    return [
        "",
        f"Cells of stride {report.stride} at {_size(report.image_size)}, for a dense head: "
        f"{report.num_empty} of {report.num_boxes} boxes hold no cell's center, {report.num_crowded} are "
        "nearest to the same one as another box",
    ]


def _tiles(advice: TileAdvice | MaskTileAdvice) -> list[str]:
    return [
        "",
        f"Small objects: {advice.reason()}. Train in tiles, as 'train --data' does, with "
        f"data.tile_size={Tiling(advice.tile).option}.",
    ]


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _shares(reached: Ceiling) -> str:
    return "  ".join("  -  " if share is None else f"{share:.3f}" for share in reached)
