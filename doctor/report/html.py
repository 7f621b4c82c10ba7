"""The report as one HTML page that needs nothing else: styles and pictures are inside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.page import render
from pocketvision.core.resize import PixelFormat
from pocketvision.doctor.anchors.reach import Ceiling
from pocketvision.doctor.findings import Finding
from pocketvision.doctor.kinds import KINDS, Severity
from pocketvision.doctor.report.examination import Report
from pocketvision.doctor.report.pictures import picture_of_finding, picture_of_sample

PICTURES_A_KIND, EXAMPLES_A_KIND, MAX_PICTURES = 4, 8, 48
_MAX_BARS = 100
_TEMPLATE = Path(__file__).with_name("findings.html")
_WORDS: dict[Severity, str] = {"error": "Errors", "warning": "Warnings", "info": "Notes"}


class FigureOnPage(NamedTuple):
    """A picture as a data URL, and what stands below it."""

    url: str
    caption: str


class KindOnPage(NamedTuple):
    """A kind of finding with its first findings and some pictures of them."""

    name: str
    title: str
    fix: str | None
    num_found: int
    sentences: list[str]
    figures: list[FigureOnPage]


class SeverityOnPage(NamedTuple):
    """All kinds of a severity that were found."""

    severity: Severity
    title: str
    kinds: list[KindOnPage]


def report_html(report: Report) -> str:
    """The page."""
    pixels = report.pixels.pixels
    samples = ((picture_of_sample(sample, pixels), sample.image) for sample in report.samples)
    return render(
        _TEMPLATE,
        title=f"{report.root.name}: {report.summary()}",
        report=report,
        groups=_groups(report),
        samples=[FigureOnPage(url, _file_name(image)) for url, image in samples if url is not None],
        counts=report.total_counts.most_common(),
        max_bars=_MAX_BARS,
        ceiling_names=Ceiling._fields,
    )


def _groups(report: Report) -> list[SeverityOnPage]:
    groups, left = [], MAX_PICTURES
    for severity, title in _WORDS.items():
        kinds = []
        for name in report.findings.by_severity(severity):
            about, found, count = KINDS[name], report.findings.kept[name], report.findings.counts[name]
            figures = _figures(found, min(PICTURES_A_KIND, left), report.pixels.pixels)
            left -= len(figures)
            sentences = [finding.sentence for finding in found[:EXAMPLES_A_KIND]]
            kinds.append(KindOnPage(name, about.title, about.fix, count, sentences, figures))
        if kinds:
            groups.append(SeverityOnPage(severity, title, kinds))
    return groups


def _figures(found: Iterable[Finding], most: int, pixels: PixelFormat) -> list[FigureOnPage]:
    """Pictures of the first findings that have one."""
    figures: list[FigureOnPage] = []
    for finding in found:
        if len(figures) == most:
            break
        url = picture_of_finding(finding, pixels) if finding.images else None
        if url is not None:
            figures.append(FigureOnPage(url, " ".join((_file_name(finding.images[0]), finding.where))))
    return figures


def _file_name(path: str) -> str:
    return Path(path).name
